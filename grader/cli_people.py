"""`grader users`, `grader roster`, `grader token`: who may come in, from the shell of the machine."""

from __future__ import annotations

import csv
import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader import terminal
from grader.cli_output import (
    CourseOption,
    JsonOption,
    course_named,
    one_line,
    opened_store,
    show,
    sign_in_link,
    user_named,
)
from grader.errors import UsageError
from grader.reports import Json
from grader.settings import read_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from grader.store.models import User

app = typer.Typer()
users = typer.Typer(help="People: list, add, new sign-in link, disable.", no_args_is_help=True)
roster = typer.Typer(help="Who is in a course, from a CSV file.", no_args_is_help=True)
token = typer.Typer(help="Bearer tokens of the REST API.", no_args_is_help=True)
app.add_typer(users, name="users")
app.add_typer(roster, name="roster")
app.add_typer(token, name="token")

LoginArgument = Annotated[str, typer.Argument(help="Login of the user.")]


@users.command(name="list")
def list_users(
    course: Annotated[str, typer.Option("--course", "-c", help="Only the people of this course.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List people, their courses and whether they have ever signed in."""
    from sqlalchemy import select

    from grader.service import accounts
    from grader.store.models import Course, Enrolment, User

    with opened_store() as store, store.read() as session:
        chosen = select(User).order_by(User.login)
        if course:
            members = select(Enrolment.user_id).where(Enrolment.course_id == course_named(session, course).id)
            chosen = chosen.where(User.id.in_(members))
        roles: dict[int, list[Json]] = {}
        for user_id, name, role in session.execute(
            select(Enrolment.user_id, Course.name, Enrolment.role).join(Course).order_by(Course.name)
        ):
            roles.setdefault(user_id, []).append(f"{name}: {role}")
        rows: list[dict[str, Json]] = [
            {
                "login": user.login, "name": user.name, "email": user.email, "courses": roles.get(user.id, []),
                "active": user.active, "signed_in": accounts.has_signed_in(session, user),
            }
            for user in session.scalars(chosen)
        ]  # fmt: skip
    columns = {"login": "login", "name": "name", "courses": "courses", "active": "active", "signed_in": "signed in"}
    show(rows, columns, as_json=as_json, empty="There is nobody.")


@users.command(name="add")
def add_user(
    login: Annotated[str, typer.Argument(help="Small letters, digits and . _ @ + -")],
    name: Annotated[str, typer.Argument(help="Name as others see it.")],
    email: Annotated[str, typer.Option("--email", help="E-mail address.")] = "",
    course: Annotated[str, typer.Option("--course", "-c", help="Course to put them into.")] = "",
    role: Annotated[
        str, typer.Option("--role", help="In the course: student, ta, instructor or admin.", show_default="student")
    ] = "",
    section: Annotated[str, typer.Option("--section", help="Section of the course.")] = "",
) -> None:
    """Add somebody and print their sign-in link."""
    from grader.service import accounts, recording
    from grader.service import roster as members
    from grader.service.access import SHELL

    settings, now = read_settings(), datetime.now(UTC)
    person = members.person(login, name, email, section, role)
    if role and not course:
        raise UsageError("--role is a role in a course: name it with --course")
    with opened_store(settings) as store, store.write() as session:
        user = members.add_user(session, SHELL, person, now)
        if course:
            found = course_named(session, course)
            members.enrol(session, SHELL, found, person, now)
            recording.make_rows(session, found.id, now)
        link = sign_in_link(session, settings, accounts.make_link(session, user, now))
    terminal.console().print(f"Added {person.login}. Sign-in link, good once and for 14 days:\n{link}", soft_wrap=True)


@users.command(name="link")
def link_user(login: LoginArgument) -> None:
    """Print a new sign-in link; an earlier one that was not used ends."""
    from grader.service import accounts, audit
    from grader.service.access import SHELL

    settings, now = read_settings(), datetime.now(UTC)
    with opened_store(settings) as store, store.write() as session:
        user = user_named(session, login)
        if not user.active:
            raise UsageError(f"{user.login} is disabled; first: grader users disable {user.login} --undo")
        audit.note(session, SHELL, "link.make", user.login, now, user_id=user.id)
        link = sign_in_link(session, settings, accounts.make_link(session, user, now))
    terminal.console().print(link, soft_wrap=True)


@users.command(name="disable")
def disable_user(
    login: LoginArgument, undo: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False
) -> None:
    """Let somebody in no more: sessions and tokens end at once. What they handed in stays.

    With --undo, let them in again. Exit code 2 for the last active administrator of a course.
    """
    from grader.service import accounts
    from grader.service.access import SHELL

    with opened_store() as store, store.write() as session:
        user = user_named(session, login)
        accounts.set_active(session, SHELL, user, undo, datetime.now(UTC))
        said = f"{user.login} is {'active' if undo else 'disabled'}."
    terminal.console().print(said)


@roster.command(name="import")
def import_roster(
    file: Annotated[Path, typer.Argument(help="CSV with login, name and perhaps email, section, role.")],
    course: CourseOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put everybody in a file into a course, or nobody when a line is wrong.

    Links are printed for those who are new and have never signed in. Exit code 2 with every wrong line named.
    """
    from grader.service import roster as members
    from grader.service.access import SHELL

    settings, now = read_settings(), datetime.now(UTC)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    with opened_store(settings) as store, store.write() as session:
        found = course_named(session, course)
        preview = members.preview(session, SHELL, found, data)
        if preview.errors:
            raise UsageError(f"{file}: nothing was changed\n" + "\n".join(one_line(e.text.en) for e in preview.errors))
        tokens = {} if dry_run else members.apply(session, SHELL, found, data, now).links
        links = {login: sign_in_link(session, settings, token) for login, token in tokens.items()}
    rows: list[dict[str, Json]] = [
        {
            "login": person.login, "name": person.name, "role": str(person.role), "section": person.section,
            "change": "new" if person.login in preview.new else "changed",
            "changes": [
                f"{key}: {before or 'none'} -> {after or 'none'}"
                for key, (before, after) in preview.changes.get(person.login, {}).items()
            ],
            "link": links.get(person.login),
        }
        for person in preview.people
        if person.login in preview.new | preview.changed
    ]  # fmt: skip
    columns = {
        "login": "login", "name": "name", "role": "role", "section": "section", "change": "change", "changes": "",
    }  # fmt: skip
    show(rows, columns, as_json=as_json, empty="Nothing to change.")
    for warning in preview.warnings:
        terminal.console(stderr=as_json).print(f"Warning: {one_line(warning.text.en)}", soft_wrap=True)
    if as_json:
        return
    out = terminal.console()
    said = "would be" if dry_run else "were"
    out.print(f"{len(preview.new)} {said} added, {len(preview.changed)} changed; {preview.same} are as in the file.")
    for row in rows:
        if row["link"]:
            out.print(f"{one_line(row['login'])}  {row['link']}", soft_wrap=True)


@roster.command(name="links")
def make_links(
    course: CourseOption,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV: login, name, email, link.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make new sign-in links for everybody in a course who has never signed in; unused ones of before end."""
    from grader.service import exports
    from grader.service import roster as members
    from grader.service.access import SHELL

    if as_csv and as_json:
        raise UsageError("choose one of --csv and --json")
    settings, now = read_settings(), datetime.now(UTC)
    with opened_store(settings) as store, store.write() as session:
        made = members.new_links(session, SHELL, course_named(session, course), now)
        rows: list[dict[str, Json]] = [
            {
                "login": user.login, "name": user.name, "email": user.email,
                "link": sign_in_link(session, settings, token),
            }
            for user, token in made
        ]  # fmt: skip
    if as_csv:
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\r\n")
        table.writerow(("login", "name", "email", "link"))
        table.writerows([exports.safe(str(value or "")) for value in row.values()] for row in rows)
        sys.stdout.buffer.write(out.getvalue().encode())
        return
    show(rows, {"login": "login", "name": "name", "email": "email"}, as_json=as_json, empty="Everybody has signed in.")
    for row in [] if as_json else rows:  # below the table, where no link is broken over lines
        terminal.console().print(f"{one_line(row['login'])}  {row['link']}", soft_wrap=True)


@token.command(name="make")
def make_token(
    login: LoginArgument,
    name: Annotated[str, typer.Option("--name", help="What it is for.")],
    scope: Annotated[
        list[str], typer.Option("--scope", help="submit, grades:read, grades:write, manage or metrics; repeatable.")
    ],
    days: Annotated[int | None, typer.Option("--days", help="Its life in days.", show_default="for ever")] = None,
) -> None:
    """Make a token and print it, this once; it may do what its owner may, within its scopes."""
    from grader.service import accounts
    from grader.service.access import SHELL, Scope

    unknown = [word for word in scope if word not in list(Scope)]
    if unknown:
        raise UsageError(f"there is no scope {unknown[0]!r}; there are: {', '.join(Scope)}")
    with opened_store() as store, store.write() as session:
        owner, scopes = user_named(session, login), [Scope(word) for word in scope]
        if Scope.METRICS in scopes and not _administers(session, owner):
            raise UsageError(f"the scope metrics is for administrators, and {owner.login} is none")
        _, text = accounts.make_token(session, SHELL, owner.id, name, scopes, days, datetime.now(UTC))
    print(text)


def _administers(session: Session, user: User) -> bool:
    """Whether somebody is an administrator of a course, or will be of the first one."""
    from grader.demo import ADMINISTRATOR
    from grader.service.access import actor_of
    from grader.store.states import Role

    highest = actor_of(session, user).highest
    return highest is Role.ADMIN or (highest is None and user.login == ADMINISTRATOR)


@token.command(name="list")
def list_tokens(login: LoginArgument, as_json: JsonOption = False) -> None:
    """List somebody's tokens; what they are is not kept."""
    from grader.service import accounts

    with opened_store() as store, store.read() as session:
        rows: list[dict[str, Json]] = [
            {
                "id": row.id, "name": row.name, "scopes": row.scopes,
                "expires": None if row.expires_at is None else f"{row.expires_at:%Y-%m-%d}",
                "last_used": None if row.last_used_at is None else f"{row.last_used_at:%Y-%m-%d %H:%M} UTC",
            }
            for row in accounts.tokens(session, user_named(session, login).id)
        ]  # fmt: skip
    columns = {"id": "id", "name": "name", "scopes": "scopes", "expires": "expires", "last_used": "last used"}
    show(rows, columns, as_json=as_json, empty="There is no token.")


@token.command(name="revoke")
def revoke_token(login: LoginArgument, number: Annotated[int, typer.Argument(help="Its id in the list.")]) -> None:
    """End a token at once."""
    from grader.errors import NotFound
    from grader.service import accounts
    from grader.service.access import SHELL

    with opened_store() as store, store.write() as session:
        owner = user_named(session, login)
        try:
            accounts.revoke_token(session, SHELL, owner.id, number, datetime.now(UTC))
        except NotFound:
            raise UsageError(f"{owner.login} has no token {number}; see: grader token list {owner.login}") from None
    terminal.console().print(f"Token {number} is revoked.")
