"""The command `new`: a skeleton of an assignment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from grader import skeleton
from grader.settings import read_settings

app = typer.Typer()


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the assignment: small letters, digits, underscores.")],
    kind: Annotated[
        skeleton.Kind, typer.Option("--kind", help="Functions graded by values, or a model graded by its training.")
    ] = skeleton.Kind.functions,
    into: Annotated[Path | None, typer.Option("--into", help="Folder of assignments; GRADER_REFERENCE_DIR.")] = None,
) -> None:
    """Make a new assignment that `grader prove` accepts as it is, to be changed file by file."""
    root = into or read_settings().reference_dir
    files = skeleton.make(name, kind, root)
    for path in files:
        print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    elsewhere = f"GRADER_REFERENCE_DIR={os.fspath(into)} " if into is not None else ""
    print(f"\nProve it: {elsewhere}grader prove {name}")
