"""What a grading says: frozen records, standard library only, the bottom of the import order.

Every sentence a person reads exists in English and Chinese from the moment it is made (`Text`), so
a stored report can be shown in either language without grading again.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Language = Literal["en", "zh"]
Json = Any  # a tree of None, bool, int, float, str, list and dict that json.dumps takes as it is


class ReportStatus(StrEnum):
    """How a grading ended."""

    GRADED = "graded"
    NOT_GRADABLE = "not_gradable"  # nothing to run: costs no attempt
    GRADER_ERROR = "grader_error"  # our own fault: costs neither points nor an attempt


class Status(StrEnum):
    """How one check ended. Not proven means no points, so only PASSED carries any."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One sentence or short paragraph in both languages."""

    en: str
    zh: str

    def say(self, lang: Language) -> str:
        return self.zh if lang == "zh" else self.en

    def __add__(self, other: Text) -> Text:
        """Two texts as one paragraph. Chinese needs no space between sentences."""
        return Text(en=f"{self.en} {other.en}", zh=f"{self.zh}{other.zh}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Worst:
    """Where got and expected are furthest apart.

    `difference` is the absolute difference there; infinite when one side is NaN or infinite.
    """

    index: tuple[int, ...]
    difference: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A chart that a check attached. name: unique in its check, fit for a file name. title: what it shows.

    alt: what can be read from it, for whoever does not see it. spec: Vega-Lite with its data, without size, colours of
    the page or fonts; texts that people read are {"en": ..., "zh": ...} (see `spoken`).
    """

    name: str
    title: Text
    alt: Text
    spec: Json

    def spoken(self, lang: Language) -> Json:
        """The specification in one language."""
        return _spoken(self.spec, lang)


def _spoken(tree: Json, lang: Language) -> Json:
    if isinstance(tree, dict):
        if tree.keys() == {"en", "zh"}:
            return tree[lang]
        return {key: _spoken(value, lang) for key, value in tree.items()}
    return [_spoken(item, lang) for item in tree] if isinstance(tree, list) else tree


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What a student's own code drew during a check. png: as it came; of it nobody here has read more than the header.

    width, height: pixels, as the header says.
    """

    png: bytes
    width: int
    height: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """The outcome of one check, with everything a student needs to see why."""

    id: str
    part: str
    title: Text
    status: Status
    points: float
    max_points: float
    visible: bool = True  # whether the check shows its values; one with hidden inputs does not
    message: Text | None = None
    mistake: str | None = None
    got: Json = None
    expected: Json = None
    worst: Worst | None = None
    input: Json = None
    wall_ms: float = 0.0
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PartScore:
    name: str
    score: float
    max_score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A piece of the upload that was not run, and why."""

    where: Text  # "code cell 3, lines 1-4" or "lines 10-12"
    what: str  # the first line of it, shortened
    why: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One grading of one file against one version of one assignment."""

    assignment: str
    assignment_version: str
    status: ReportStatus
    score: float
    max_score: float
    parts: tuple[PartScore, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Text, ...] = ()
    printed: str = ""
    seed: str = ""
    runtime: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    file: str = ""

    @property
    def to_fix(self) -> tuple[CheckResult, ...]:
        """Failed checks, what costs most first; among equals the sheet's own order.

        A known mistake costs all that failed through it, and the earliest check that shows it comes first: the sheet
        goes from simple to composed.
        """
        failed = [check for check in self.checks if check.status is Status.FAILED]

        def cost(check: CheckResult) -> float:
            if check.mistake is None:
                return check.max_points
            return sum(other.max_points for other in failed if other.mistake == check.mistake)

        return tuple(sorted(failed, key=lambda check: -cost(check)))

    @property
    def message(self) -> Text | None:
        """Why there is no grade; the first note of a report that is not `graded`."""
        return None if self.status is ReportStatus.GRADED or not self.notes else self.notes[0]

    def to_json(self, lang: Language = "en") -> dict[str, Json]:
        """The documented JSON object; numbers that JSON cannot hold become words such as "nan"."""
        return {
            "file": self.file,
            "assignment": self.assignment,
            "assignment_version": self.assignment_version,
            "status": str(self.status),
            "score": plain_number(self.score),
            "max_score": plain_number(self.max_score),
            "parts": [
                {"name": p.name, "score": plain_number(p.score), "max_score": plain_number(p.max_score)}
                for p in self.parts
            ],
            "checks": [_check_json(c, lang) for c in self.checks],
            "left_out": [{"where": o.where.say(lang), "what": o.what, "why": o.why.say(lang)} for o in self.left_out],
            "notes": [n.say(lang) for n in self.notes],
            "printed": self.printed,
            "seed": self.seed,
            "runtime": dict(self.runtime),
            "mode": self.mode,
            "timings_ms": dict(self.timings_ms),
        }


def _check_json(check: CheckResult, lang: Language) -> dict[str, Json]:
    return {
        "id": check.id,
        "part": check.part,
        "title": check.title.say(lang),
        "status": str(check.status),
        "points": plain_number(check.points),
        "max_points": plain_number(check.max_points),
        "visible": check.visible,
        "message": None if check.message is None else check.message.say(lang),
        "mistake": check.mistake,
        "got": check.got,
        "expected": check.expected,
        "worst": None
        if check.worst is None
        else {"index": list(check.worst.index), "difference": plain_number(check.worst.difference)},
        "input": check.input,
        "wall_ms": check.wall_ms,
        "figures": [
            {"name": f.name, "title": f.title.say(lang), "alt": f.alt.say(lang), "spec": f.spoken(lang)}
            for f in check.figures
        ],
        "pictures": [{"width": p.width, "height": p.height, "png": _base64(p.png)} for p in check.pictures],
    }


def plain_number(x: float) -> float | int | str:
    """A number for JSON: whole floats as integers, NaN and infinities as words."""
    if isinstance(x, int):
        return x
    if not math.isfinite(x):
        return "nan" if math.isnan(x) else ("inf" if x > 0 else "-inf")
    return int(x) if x == int(x) and abs(x) < 2**53 else x


# Records: a whole report as JSON, to be kept and read again -----------------------------------------------------------

RECORD_FORMAT = 2  # 1 had neither figures nor pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """How one kind of value is written and read again. read: value and its key -> value; raises ValueError."""

    write: Callable[[Any], Json]
    read: Callable[[Json, str], Any]


def to_record(report: Report) -> Json:
    """The whole report in both languages, as a tree for json.dumps, of which `from_record` makes an equal report.

    Words stand for the numbers that JSON cannot hold; `got`, `expected` and `input` are trees of JSON already.
    """
    return {"format": RECORD_FORMAT, **_REPORT.write(report)}


def from_record(record: Json) -> Report:
    """The report that a record was made of. Raises ValueError naming the first key that does not fit."""
    if not isinstance(record, dict):
        raise _misfit("the record itself", "an object", record)
    if type(record.get("format")) is not int or record["format"] not in (1, RECORD_FORMAT):
        raise _misfit("format", f"the number 1 or {RECORD_FORMAT}", record.get("format"))
    fields = {key: value for key, value in record.items() if key != "format"}
    if record["format"] == 1 and isinstance(fields.get("checks"), list):
        none: dict[str, Json] = {"figures": [], "pictures": []}
        fields["checks"] = [{**none, **c} if isinstance(c, dict) else c for c in fields["checks"]]
    report: Report = _REPORT.read(fields, "")
    return report


def _misfit(key: str, needed: str, value: Json) -> ValueError:
    """Names the key, and of the value its type only: it may be long, or hidden from who reads this."""
    return ValueError(f"not the record of a report: {key} must be {needed}, not {type(value).__name__}")


def _same(kind: type, needed: str) -> _Form:
    """A value that JSON holds as it is. bool is a kind of int in Python, but not here."""

    def read(value: Json, key: str) -> Any:
        if type(value) is not kind:
            raise _misfit(key, needed, value)
        return value

    return _Form(write=lambda value: value, read=read)


def _write_number(x: float) -> Json:
    return x if isinstance(x, int) or math.isfinite(x) else plain_number(x)


def _read_number(value: Json, key: str) -> float:
    if value in ("nan", "inf", "-inf"):
        return float(value)
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise _misfit(key, 'a number, "nan", "inf" or "-inf"', value)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _read_base64(value: Json, key: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise _misfit(key, "bytes in base64", value) from None


def _word(kind: type[StrEnum]) -> _Form:
    def read(value: Json, key: str) -> StrEnum:
        if value not in tuple(kind):
            raise _misfit(key, f"one of {', '.join(kind)}", value)
        return kind(value)

    return _Form(write=str, read=read)


def _or_none(form: _Form) -> _Form:
    return _Form(
        write=lambda value: None if value is None else form.write(value),
        read=lambda value, key: None if value is None else form.read(value, key),
    )


def _tuple_of(form: _Form) -> _Form:
    def read(value: Json, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _misfit(key, "a list", value)
        return tuple(form.read(item, f"{key}[{at}]") for at, item in enumerate(value))

    return _Form(write=lambda values: [form.write(value) for value in values], read=read)


def _mapping_of(form: _Form) -> _Form:
    def read(value: Json, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _misfit(key, "an object", value)
        return {name: form.read(item, f"{key}.{name}") for name, item in value.items()}

    return _Form(write=lambda values: {name: form.write(value) for name, value in values.items()}, read=read)


def _fields_of(kind: type, **forms: _Form) -> _Form:
    """A record of this module, every field by name: none may be missing, and none is skipped over."""

    def write(value: Any) -> dict[str, Json]:
        return {name: form.write(getattr(value, name)) for name, form in forms.items()}

    def read(value: Json, key: str) -> Any:
        if not isinstance(value, dict):
            raise _misfit(key, "an object", value)
        prefix = f"{key}." if key else ""
        for name in (*forms, *value):
            if name not in value or name not in forms:
                what = "missing" if name in forms else "not known"
                raise ValueError(f"not the record of a report: {prefix}{name} is {what}")
        return kind(**{name: form.read(value[name], prefix + name) for name, form in forms.items()})

    return _Form(write=write, read=read)


_STRING = _same(str, "a text")
_NUMBER = _Form(write=_write_number, read=_read_number)
_TREE = _Form(write=lambda value: value, read=lambda value, key: value)
_TEXT = _fields_of(Text, en=_STRING, zh=_STRING)
_WHOLE = _same(int, "a whole number")
_CHECK = _fields_of(
    CheckResult,
    id=_STRING,
    part=_STRING,
    title=_TEXT,
    status=_word(Status),
    points=_NUMBER,
    max_points=_NUMBER,
    visible=_same(bool, "true or false"),
    message=_or_none(_TEXT),
    mistake=_or_none(_STRING),
    got=_TREE,
    expected=_TREE,
    worst=_or_none(_fields_of(Worst, index=_tuple_of(_WHOLE), difference=_NUMBER)),
    input=_TREE,
    wall_ms=_NUMBER,
    figures=_tuple_of(_fields_of(Figure, name=_STRING, title=_TEXT, alt=_TEXT, spec=_TREE)),
    pictures=_tuple_of(_fields_of(Picture, png=_Form(write=_base64, read=_read_base64), width=_WHOLE, height=_WHOLE)),
)
_REPORT = _fields_of(
    Report,
    assignment=_STRING,
    assignment_version=_STRING,
    status=_word(ReportStatus),
    score=_NUMBER,
    max_score=_NUMBER,
    parts=_tuple_of(_fields_of(PartScore, name=_STRING, score=_NUMBER, max_score=_NUMBER)),
    checks=_tuple_of(_CHECK),
    left_out=_tuple_of(_fields_of(LeftOut, where=_TEXT, what=_STRING, why=_TEXT)),
    notes=_tuple_of(_TEXT),
    printed=_STRING,
    seed=_STRING,
    runtime=_mapping_of(_STRING),
    mode=_STRING,
    timings_ms=_mapping_of(_NUMBER),
    file=_STRING,
)
