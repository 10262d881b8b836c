"""What the commands of staff share: the open database, tables of 80 columns, and text of people made safe to print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich import box
from rich.console import JustifyMethod
from rich.table import Table

from grader import terminal
from grader.errors import UsageError
from grader.reports import Json
from grader.sandbox.child import clean_text
from grader.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from grader.store.engine import Store
    from grader.store.models import Course, Published, User

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]
CourseOption = Annotated[str, typer.Option("--course", "-c", help="Name of the course; see: grader course list")]
Word = TypeVar("Word", bound=StrEnum)

# The database's modules are imported by the commands that need them: grading a file should not wait for them.

_NUMBERS = frozenset({"score", "computed", "attempts", "id", "before", "after", "points"})


@contextmanager
def opened_store(settings: Settings | None = None) -> Iterator[Store]:
    """The service's database, also while it runs. Raises UsageError when there is none, StoreError when it is old."""
    from grader import installation
    from grader.store import migrating

    store = installation.open_store((settings or read_settings()).database)
    try:
        with installation.in_use(store):
            migrating.require_newest(store)
            yield store
    finally:
        store.close()


def course_named(session: Session, name: str) -> Course:
    """Raises UsageError that lists the courses there are."""
    from sqlalchemy import select

    from grader.store.models import Course

    found = session.scalar(select(Course).where(Course.name == name))
    if found is None:
        names = session.scalars(select(Course.name).order_by(Course.name)).all()
        raise UsageError(
            f"there is no course {name!r}; there are: {', '.join(names) or 'none, see grader course make'}"
        )
    return found


def published_named(session: Session, course: str, name: str) -> Published:
    """Raises UsageError that lists what the course hands out."""
    from grader.service import publishing

    listed = {row.name: row for row in publishing.listed(session, course_named(session, course).id)}
    if name not in listed:
        raise UsageError(f"there is no assignment {name!r} in {course}; there are: {', '.join(listed)}")
    return listed[name]


def word(option: str, text: str, kind: type[Word]) -> Word:
    """One of the words of an enumeration. Raises UsageError that lists them."""
    if text not in list(kind):
        raise UsageError(f"{option}: {text!r} is none of: {', '.join(kind)}")
    return kind(text)


def user_named(session: Session, login: str) -> User:
    """Raises UsageError."""
    from sqlalchemy import select

    from grader.store.models import User

    found = session.scalar(select(User).where(User.login == login.strip().casefold()))
    if found is None:
        raise UsageError(f"there is no user {login!r}; see: grader users list")
    return found


def base_url(session: Session, settings: Settings) -> str:
    """Where people reach the service, for links: as a setting says, else as it was when it was started last."""
    from grader import installation

    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return settings.public_url or installation.kept_address(session) or f"http://{host}:{settings.port or 8000}"


def sign_in_link(session: Session, settings: Settings, token: str) -> str:
    return f"{base_url(session, settings)}/sign-in/link/{token}"


def one_line(value: Json) -> str:
    """A value for a cell: text of people without what a terminal would obey, and on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(one_line(item) for item in value)
    return " ".join(clean_text(str(value), 1000).split())


def show(rows: Sequence[Mapping[str, Json]], columns: Mapping[str, str], *, as_json: bool, empty: str) -> None:
    """Rows as a table of these columns ({key: heading}), or all of them as JSON. empty: said when there is none."""
    if as_json:
        print(json.dumps(list(rows), ensure_ascii=False, indent=2))
        return
    out = terminal.console()
    if not rows:
        out.print(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, width=80, pad_edge=False)
    widest = next((key for key in ("checks", "changes", "courses", "assignments", "name") if key in columns), None)
    for key, heading in columns.items():
        justify: JustifyMethod = "right" if key in _NUMBERS else "left"
        table.add_column(heading, justify=justify, overflow="fold", ratio=1 if key == widest else None)
    for row in rows:
        table.add_row(*(one_line(row[key]) for key in columns))
    out.print(table)
