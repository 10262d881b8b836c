"""`grader course`: courses, what they hand out and by which rules, from the shell of the machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from grader import terminal
from grader.cli_output import (
    CourseOption,
    JsonOption,
    course_named,
    one_line,
    opened_store,
    published_named,
    show,
    user_named,
    word,
)
from grader.errors import UsageError
from grader.reports import Json
from grader.settings import read_settings

if TYPE_CHECKING:
    from grader.service.publishing import Rules
    from grader.store.models import Course, Published

app = typer.Typer()
courses = typer.Typer(help="Courses and what they hand out.", no_args_is_help=True)
app.add_typer(courses, name="course")

_MOST_ATTEMPTS = 1000


@courses.command(name="make")
def make_course(
    name: Annotated[str, typer.Argument(help="In addresses: small letters, digits, - and _")],
    title: Annotated[str, typer.Option("--title", help="Title as people see it.")],
    timezone: Annotated[str, typer.Option("--timezone", help="Of due dates, as Asia/Shanghai.")] = "UTC",
    admin: Annotated[str, typer.Option("--admin", help="Login of its administrator.")] = "admin",
) -> None:
    """Make a course."""
    from grader.service import publishing, roster
    from grader.service.access import SHELL
    from grader.store.states import Role

    now = datetime.now(UTC)
    with opened_store() as store, store.write() as session:
        user = user_named(session, admin)
        course = publishing.make_course(session, SHELL, name, title, timezone, now)
        person = roster.Person(line=0, login=user.login, name=user.name, email=user.email, role=Role.ADMIN)
        roster.enrol(session, SHELL, course, person, now)
    out = terminal.console()
    out.print(f"Made {name}; its administrator is {user.login}. What comes next:")
    out.print(f"  grader course publish {name} ASSIGNMENT --due '2026-12-24 23:59'")
    out.print(f"  grader roster import people.csv --course {name}")


@courses.command(name="list")
def list_courses(as_json: JsonOption = False) -> None:
    """List the courses and what they hand out."""
    from sqlalchemy import select

    from grader.service import publishing, recording
    from grader.store.models import Course

    with opened_store() as store, store.read() as session:
        rows: list[dict[str, Json]] = [
            {
                "name": course.name, "title": course.title, "timezone": course.timezone,
                "students": recording.student_count(session, course.id),
                "assignments": [published.name for published in publishing.listed(session, course.id)],
            }
            for course in session.scalars(select(Course).order_by(Course.name))
        ]  # fmt: skip
    columns = {"name": "name", "title": "title", "students": "students", "assignments": "assignments"}
    show(rows, columns, as_json=as_json, empty="There is no course; see: grader course make --help")


@courses.command(name="publish")
def publish_assignment(
    course: Annotated[str, typer.Argument(help="Name of the course.")],
    assignment: Annotated[str, typer.Argument(help="Name of the assignment; see: grader assignments")],
    opens: Annotated[str, typer.Option("--opens", help="When, in the course's time zone.", show_default="now")] = "",
    due: Annotated[str, typer.Option("--due", help="As '2026-12-24 23:59'; none for no deadline.")] = "",
    late_days: Annotated[int | None, typer.Option("--late-days", help="Days after it that files are taken.")] = None,
    late_percent: Annotated[float | None, typer.Option("--late-percent", help="Of the score, lost a day.")] = None,
    attempts: Annotated[int | None, typer.Option("--attempts", help="Most uploads that count; 0 for any.")] = None,
    counting: Annotated[str, typer.Option("--counting", help="Which attempt counts: best or latest.")] = "",
    release: Annotated[
        str, typer.Option("--release", help="Hidden checks are shown at_once, after_due or never.")
    ] = "",
) -> None:
    """Hand out an assignment; of one that is handed out already, the rules named are changed."""
    from sqlalchemy import select

    from grader.service import publishing
    from grader.service.access import SHELL
    from grader.service.catalogue import Catalogue
    from grader.service.publishing import Rules
    from grader.store.models import Published
    from grader.store.states import Counting, Release

    if attempts is not None and not 0 <= attempts <= _MOST_ATTEMPTS:
        raise UsageError(f"--attempts: 1 to {_MOST_ATTEMPTS}, or 0 for any number")
    now = datetime.now(UTC)
    catalogue = Catalogue(read_settings().reference_dir)
    with opened_store() as store, store.write() as session:
        of = course_named(session, course)
        found = session.scalar(select(Published).where(Published.course_id == of.id, Published.name == assignment))
        held = Rules(opens_at=now) if found is None else _rules_of(found)
        rules = Rules(
            opens_at=_time("--opens", opens, of) if opens else held.opens_at,
            due_at=held.due_at if not due else None if due == "none" else _time("--due", due, of),
            late_days=held.late_days if late_days is None else late_days,
            late_percent=held.late_percent if late_percent is None else late_percent,
            attempt_limit=held.attempt_limit if attempts is None else attempts or None,
            counting=held.counting if not counting else word("--counting", counting, Counting),
            release=held.release if not release else word("--release", release, Release),
        )
        zone = ZoneInfo(of.timezone)
        warning = _doubts(rules, zone, now, due_is_new=bool(due), late_is_new=bool(late_days or late_percent))
        changed = 0
        if found is None:
            publishing.publish(session, SHELL, of, catalogue, assignment, rules, now)
        else:
            changed = publishing.change(session, SHELL, found, rules, now)
    out = terminal.console()
    out.print(f"{assignment} in {course}: {_in_words(rules, zone)}.", soft_wrap=True)
    if changed:
        out.print(f"{changed} scores changed.")
    if warning:
        out.print(f"Warning: {warning}.", soft_wrap=True)


def _doubts(rules: Rules, zone: ZoneInfo, now: datetime, *, due_is_new: bool, late_is_new: bool) -> str:
    """What somebody who gave these rules should hear; empty when there is nothing. Raises UsageError."""
    if rules.due_at is None and late_is_new:
        raise UsageError("--late-days and --late-percent count from the due date: give --due too")
    if rules.due_at is None or not due_is_new or rules.due_at > now:
        return ""
    passed = f"the due date {rules.due_at.astimezone(zone):%Y-%m-%d %H:%M} has passed"
    if rules.due_at <= rules.opens_at:
        raise UsageError(f"{passed}; it must be after the opening, {_moment(rules.opens_at, zone)}")
    return passed


def _in_words(rules: Rules, zone: ZoneInfo) -> str:
    """Every rule, in one line."""
    said = [f"opens {_moment(rules.opens_at, zone)}"]
    if rules.due_at is None:
        said.append("without a deadline")
    else:
        said.append(f"due {_moment(rules.due_at, zone)}")
        days = "1 late day" if rules.late_days == 1 else f"{rules.late_days} late days"
        loss = f", each day costs {rules.late_percent:g}% of the score" if rules.late_days else ""
        said.append(f"{days}{loss}" if rules.late_days else "nothing is taken late")
    one = "1 attempt" if rules.attempt_limit == 1 else f"{rules.attempt_limit} attempts"
    said.append("any number of attempts" if rules.attempt_limit is None else one)
    said.append(f"the {rules.counting} counts")
    said.append(f"hidden checks are shown {str(rules.release).replace('_', ' ')}")
    return ", ".join(said)


def _moment(at: datetime, zone: ZoneInfo) -> str:
    """A moment with the offset of its zone: names such as CST mean several."""
    local = at.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M} UTC{local.isoformat()[-6:]}"


def _rules_of(published: Published) -> Rules:
    from grader.service.publishing import Rules

    return Rules(
        opens_at=published.opens_at, due_at=published.due_at, late_days=published.late_days,
        late_percent=published.late_percent, attempt_limit=published.attempt_limit, counting=published.counting,
        release=published.release,
    )  # fmt: skip


def _time(option: str, text: str, course: Course) -> datetime:
    """A time in the course's zone unless it names its own. Raises UsageError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option}: {text!r} is no time; write it as '2026-12-24 23:59'") from None
    return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(course.timezone))).astimezone(UTC)


# Changing and taking back ------------------------------------------------------------------------------------------


@courses.command(name="change")
def change_course(
    course: CourseOption,
    title: Annotated[str | None, typer.Option("--title", help="Another title.")] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="Another time zone, as Asia/Shanghai.")] = None,
) -> None:
    """Change a course's title or time zone. Due dates stay the same moments and are shown in the new zone."""
    from grader.service import publishing
    from grader.service.access import SHELL

    if title is None and timezone is None:
        raise UsageError("give --title, --timezone or both")
    with opened_store() as store, store.write() as session:
        of = course_named(session, course)
        publishing.rename(session, SHELL, of, title, timezone, datetime.now(UTC))
        said = f"{of.name}: {one_line(of.title)}, times in {of.timezone}."
    terminal.console().print(said, soft_wrap=True)


@courses.command(name="remove-member")
def remove_member(course: CourseOption, login: Annotated[str, typer.Argument(help="Login of the member.")]) -> None:
    """Take somebody out of a course who has handed in nothing; the account stays.

    Exit code 2 when they have handed in a file, or a score was set for them.
    """
    from grader.service import removing
    from grader.service.access import SHELL

    with opened_store() as store, store.write() as session:
        user = removing.remove_member(session, SHELL, course_named(session, course), login, datetime.now(UTC))
        said = f"{user.login} is not in {course} any more."
    terminal.console().print(said)


@courses.command(name="unpublish")
def unpublish_assignment(
    course: CourseOption, name: Annotated[str, typer.Argument(help="Name of the assignment.")]
) -> None:
    """Take an assignment out of a course for which nothing was handed in.

    Exit code 2 when a file was handed in for it, or a score was set.
    """
    from grader.service import removing
    from grader.service.access import SHELL

    with opened_store() as store, store.write() as session:
        removing.unpublish(session, SHELL, published_named(session, course, name), datetime.now(UTC))
    terminal.console().print(f"{name} is not in {course} any more.")
