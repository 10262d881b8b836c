"""A new assignment that `grader prove` accepts as it is: files to change one after the other, proving in between."""

from __future__ import annotations

import re
import shutil
import tempfile
from enum import StrEnum
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from grader.errors import UsageError

_SUFFIX = ".txt"  # the templates are no modules of ours


class Kind(StrEnum):
    """What the skeleton grades: functions by their values, or a model by its training."""

    functions = "functions"
    training = "training"


def make(name: str, kind: Kind, root: Path) -> list[Path]:
    """Writes root/name and returns its files. Raises UsageError; then nothing was written."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,39}", name):
        raise UsageError(
            f"{name!r} cannot name an assignment: use 2 to 40 small letters, digits and underscores, a letter first"
        )
    target = root / name
    if target.exists():
        raise UsageError(f"{target} exists already; choose another name, or remove it first")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=root) as folder:
            made = Path(folder) / name
            _copy(resources.files("grader") / "skeletons" / kind, made, name)
            shutil.move(made, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    return sorted(path for path in target.rglob("*") if path.is_file())


def _copy(source: Traversable, target: Path, name: str) -> None:
    target.mkdir()
    for item in source.iterdir():
        if item.is_dir():
            _copy(item, target / item.name, name)
        elif item.name.endswith(_SUFFIX):
            text = item.read_text(encoding="utf-8").replace("NAME", name)
            (target / item.name.removesuffix(_SUFFIX)).write_text(text, encoding="utf-8")
