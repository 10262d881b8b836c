"""`grader grade --figures DIR`: the figures of reports as files, and what the student's code drew."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from grader import drawing
from grader.errors import UsageError
from grader.reports import Language, Report

_OURS = {".svg": b"<svg xmlns=", ".png": b"\x89PNG\r\n\x1a\n"}


def make_folder(folder: Path) -> None:
    """Before anything is graded. Raises UsageError for a folder that cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"--figures: {folder} is not a folder") from None
    except OSError as error:
        raise UsageError(f"--figures: {folder} cannot be written to: {error.strerror}") from None


def write(reports: Sequence[Report], folder: Path, lang: Language) -> str:
    """Writes everything there is to see, in a folder of its own for each of several reports; says what was written.

    Raises UsageError for what cannot be written.
    """
    figures = pictures = undrawn = 0
    names = _folders([report.file for report in reports])
    for report, name in zip(reports, names, strict=True):
        inside = folder if len(reports) == 1 else folder / name
        for path, data in _files(report, lang):
            if not data:
                undrawn += 1
                continue
            _put(inside / path, data)
            figures, pictures = figures + path.endswith(".svg"), pictures + path.endswith(".png")
    return _said(figures, pictures, undrawn, folder, lang)


def _said(figures: int, pictures: int, undrawn: int, folder: Path, lang: Language) -> str:
    if not figures + pictures + undrawn:
        return "没有图可写。" if lang == "zh" else "There are no figures to write."
    if lang == "zh":
        said = f"{figures} 幅图" + (f"和你的代码画出的 {pictures} 幅图" if pictures else "") + f"已写入 {folder}"
        return said + (f"，{undrawn} 幅无法绘制" if undrawn else "")
    said = _count(figures, "figure") + (f" and {_count(pictures, 'picture')} drawn by your code" if pictures else "")
    return f"{said} written to {folder}" + (f"; {undrawn} could not be drawn" if undrawn else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _files(report: Report, lang: Language) -> Iterator[tuple[str, bytes]]:
    """Name and content; no content for a figure that cannot be drawn."""
    for check in report.checks:
        for figure in check.figures:
            drawn = drawing.drawing(figure, lang, drawing.FILE, titled=True)
            yield f"{_plain(check.id)}-{_plain(figure.name)}.svg", (drawn or "").encode()
        for number, picture in enumerate(check.pictures, start=1):
            yield f"{_plain(check.id)}-yours-{number}.png", picture.png


def _plain(name: str) -> str:
    """A name that leads nowhere: letters, digits, - and _."""
    return re.sub(r"[^\w-]", "_", name)[:80] or "_"


def _folders(files: Sequence[str]) -> list[str]:
    """A name for each file's folder: that of the file, with the folders it is in where two have the same."""
    stems = [_plain(Path(file).stem) for file in files]
    if len(set(stems)) < len(stems):
        stems = [_plain(str(Path(file).with_suffix("")).strip("./")) for file in files]
    return [f"{stem}-{at}" if stems.count(stem) > 1 else stem for at, stem in enumerate(stems, start=1)]


def _put(path: Path, data: bytes) -> None:
    """Raises UsageError, also where something stands that is no figure. A file is there whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(path) and not _is_figure(path):
            raise UsageError(f"--figures: {path} is there already and is no figure; nothing was written over it")
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".figure-", delete=False) as file:
            try:
                file.write(data)
                file.flush()
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except OSError:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise UsageError(f"--figures: {path} cannot be written: {error.strerror}") from None


def _is_figure(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(16).startswith(_OURS[path.suffix])
