"""Parameters of REST, each with its bounds, and read as strictly as the description says.

Pydantic alone would take "1_000" for a number, "yes" for a truth and "0" for a date; a client that sends such things
has made a mistake and should hear of it.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Header, Path, Query
from pydantic import AfterValidator, BeforeValidator, Field

Empty = TypeVar("Empty")
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
MOST_ID = 2**31 - 1  # as far as PostgreSQL numbers our rows
NO_NUL = "^[^\\u0000]*$"


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value):
            raise ValueError("not a whole number")
        return int(value)
    return value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value) or not math.isfinite(float(value)):
            raise ValueError("not a number")
        return float(value)
    return value


def _truth(value: Any) -> Any:
    if isinstance(value, str):
        if value not in ("true", "false"):
            raise ValueError("neither true nor false")
        return value == "true"
    return value


def moment(value: Any) -> Any:
    """An RFC 3339 moment as a datetime in UTC; what lies outside of the calendar once moved there, at its edge."""
    if not isinstance(value, str):
        return value
    if not _MOMENT.fullmatch(value):
        raise ValueError("not a moment such as 2026-11-22T23:59:00+08:00")
    try:
        found = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError("there is no such moment") from None
    try:
        return found.astimezone(UTC)
    except OverflowError:
        return (datetime.min if found.year == 1 else datetime.max).replace(tzinfo=UTC)


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("has a NUL character")
    return value


Whole = BeforeValidator(_whole)
Moment = Annotated[datetime, BeforeValidator(moment)]
Text = AfterValidator(_no_nul)

CourseName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", description="The course's name.", examples=["dl"])
]
AssignmentName = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$", description="The assignment's name.", examples=["numpy_autodiff"]
    ),
]
Login = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$", description="A member's login.", examples=["ada"])
]
MistakeName = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$", description="A mistake's name.", examples=["transposed"])
]
Id = Annotated[int, Path(ge=1, le=MOST_ID, description="A number that an earlier answer gave.", examples=[1]), Whole]
CheckName = Annotated[
    str, Path(pattern="^[^\\u0000/]{1,100}$", description="As the report names it.", examples=["loss"])
]
ReportId = Annotated[
    Annotated[int, Field(ge=1, le=MOST_ID), Whole] | None,
    Query(description="For staff: of this stored report instead of the one that counts."),
]
Lang = Annotated[
    Literal["en", "zh"] | None, Query(description="Language of the texts; else the one that Accept-Language prefers.")
]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9_-]{1,2000}$", max_length=2000,
        description="`next` of the page before, with the same filters and order.",
    ),
]  # fmt: skip
Limit = Annotated[int, Query(ge=1, le=500, description="Rows a page.", examples=[50]), Whole]
Truth = Annotated[bool, BeforeValidator(_truth)]
Number = Annotated[float, BeforeValidator(_number)]
Reason = Annotated[
    str,
    Query(
        pattern="^[^\\u0000]*[!-~\\u00a1-\\u1fff\\u2c00-\\ud7ff][^\\u0000]*$", min_length=1, max_length=1000,
        description="Why; the audit log keeps it.", examples=["Regraded by hand after a talk."],
    ),
]  # fmt: skip
FilterText = Annotated[str, Text, Query(pattern=NO_NUL, max_length=100)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", pattern="^[!-~]{1,100}$", max_length=100,
        description="A name of your own for this upload. Sent again with the same file, it hands in nothing new.",
        examples=["3f1c9d1e-hw1-attempt-2"],
    ),
]  # fmt: skip
Prefer = Annotated[
    str | None,
    Header(
        max_length=200, examples=["wait=10"],
        description="`wait=N`: answer with the finished report when it is ready within N seconds (at most 30).",
    ),
]  # fmt: skip
BodyReason = Annotated[
    str,
    Field(
        pattern="^[^\\u0000]*[!-~\\u00a1-\\u1fff\\u2c00-\\ud7ff][^\\u0000]*$", min_length=1, max_length=1000,
        description="Why; the audit log keeps it.", examples=["Regraded by hand after a talk."],
    ),
]  # fmt: skip
