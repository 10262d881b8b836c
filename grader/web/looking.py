"""What an upload holds, said before it is handed in. Nothing is stored and nothing of it is run."""

from __future__ import annotations

from collections.abc import Sequence

from grader import wording
from grader.assignments import Assignment
from grader.errors import NotGradable
from grader.intake import read_upload, slice_submission
from grader.intake.source import listed
from grader.reports import Language, Text
from grader.web.views import Understood

_MOST = 4  # names that are missing; the report says the rest


def look(assignment: Assignment, file: str, data: bytes, lang: Language) -> Understood:
    """Which of the names asked for are there, which are not, and why a file could not be graded."""
    try:
        piece = slice_submission(read_upload(file, data, assignment.asks), assignment.asks)
    except NotGradable as error:
        return Understood(kind="bad", lines=(error.text.say(lang),))
    open_ = {**piece.stubs, **piece.missing}
    names = _leaves(assignment.asks)
    found = [name for name in names if name not in open_ and name.partition(".")[0] not in open_]
    own = [name for name in names if name.partition(".")[0] not in assignment.given]
    if own and not set(own) & set(found):
        return Understood(kind="bad", lines=(wording.nothing_written(own).say(lang),))
    said = [text.say(lang) for text in dict.fromkeys(open_.values())]
    lines = [_found(found).say(lang), *said[:_MOST], *(note.say(lang) for note in piece.notes)]
    if len(said) > _MOST:
        rest = len(said) - _MOST
        lines.insert(_MOST + 1, Text(en=f"{rest} more are missing.", zh=f"另外还缺 {rest} 项。").say(lang))
    return Understood(kind="note" if open_ else "good", lines=tuple(lines))


def _found(names: Sequence[str]) -> Text:
    shown = listed(names)
    return (
        Text(en=f"Found: {shown.en}.", zh=f"找到：{shown.zh}。")
        if names
        else Text(en="Nothing found.", zh="没有找到。")
    )


def _leaves(names: Sequence[str]) -> list[str]:
    """Names asked for without the classes whose methods are asked for too."""
    return [name for name in names if not any(other.startswith(f"{name}.") for other in names)]
