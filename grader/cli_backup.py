"""`grader backup` and `grader restore`: a copy of everything the service keeps, made while it runs, and put back."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from grader import terminal
from grader.errors import UsageError
from grader.settings import read_settings

app = typer.Typer()


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")]) -> None:
    """Copy the database into a file, also while the service runs, and check the copy with every upload in it.

    Keep the copy as safe as the database: it holds everything, the service's secret too.
    """
    from grader import installation

    store = installation.open_store(read_settings().database)
    with installation.using(installation.file_of(store)):
        size = installation.backup(store, file)
    store.close()
    terminal.console().print(f"{file}: {size / 2**20:.1f} MiB, checked", soft_wrap=True)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that grader backup wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the database's place; the present database is kept beside it.

    Exit code 2 while grader serve, grader worker or another command uses the database.
    """
    from grader import installation
    from grader.store.engine import Store

    settings = read_settings()
    installation.file_of(Store(settings.database))
    installation.check(file, contents=False)
    out = terminal.console()
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("say --yes to restore without being asked")
        out.print(f"{file} replaces {Store(settings.database).place}", soft_wrap=True)
        typer.confirm("Go on?", abort=True)
    kept = installation.restore(file, settings.database, datetime.now(UTC))
    out.print("Restored." if kept is None else f"Restored. The database as it was: {kept}", soft_wrap=True)
