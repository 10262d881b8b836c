"""`grader smoke`: every story of submissions/ through a running service, for CI and after an installation."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr
from rich import box
from rich.progress import Progress
from rich.table import Table

from grader import terminal
from grader.cli_output import one_line
from grader.cli_serve import absent_runtimes, grading_for, opened_for_service, service_of
from grader.errors import UsageError
from grader.logs import log_lines
from grader.settings import PROJECT, Settings, read_settings

if TYPE_CHECKING:
    from grader.assembly import Parts
    from grader.smoke import Client, Result
    from grader.stories import Story

app = typer.Typer()
EXIT_DIFFERENT = 1
_COURSE, _LOGIN = "smoke", "smoke"
_STOP_S = 30.0


@app.command()
def smoke(
    server: Annotated[str, typer.Option("--server", help="Its address.", show_default="a service of its own")] = "",
    token: Annotated[
        str, typer.Option("--token", envvar="GRADER_SMOKE_TOKEN", help="Token with the scope submit.")
    ] = "",
    course: Annotated[str, typer.Option("--course", "-c", help="Course to hand in to.")] = "demo",
    database: Annotated[
        str,
        typer.Option(
            "--database", help="Empty PostgreSQL database for a service of its own.", show_default="a temporary file"
        ),
    ] = "",
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this story or assignment; repeatable.")] = None,
    stories: Annotated[Path, typer.Option("--stories", help="Folder of the stories.")] = PROJECT / "submissions",
    junit: Annotated[Path | None, typer.Option("--junit", help="Also write JUnit XML into this file.")] = None,
) -> None:
    """Hand in every story and compare score, statuses and named mistakes with what its expected.toml says.

    Exit code 0 when all are as expected, 1 when one is not. 2: wrong usage. 4: the service cannot be reached.
    """
    from grader import smoke as posting

    settings = read_settings()
    if server and not token:
        raise UsageError("--server needs --token, or GRADER_SMOKE_TOKEN; make one: grader token make --help")
    if server and database:
        raise UsageError("--database is for a service of its own; leave --server out")
    chosen = _chosen(stories, only or [])
    results: list[Result] = []
    errors = terminal.console(stderr=True)
    with ExitStack() as stack:
        clients, absent = _clients(stack, settings, server, token, course, database)
        shown = stack.enter_context(Progress(console=errors, transient=True, disable=not errors.is_terminal))
        task = shown.add_task("handing in", total=len(chosen))
        for result in posting.smoke(clients, chosen, absent):
            results.append(result)
            shown.advance(task)
    if all(result.skipped for result in results):
        raise UsageError(f"nothing was handed in: {results[0].skipped}")
    if junit is not None:
        junit.write_text(posting.junit(results), encoding="utf-8")
    _show(results)
    raise typer.Exit(0 if all(result.good for result in results) else EXIT_DIFFERENT)


def _chosen(folder: Path, only: Sequence[str]) -> list[Story]:
    from grader import stories

    try:
        found = stories.stories(folder)
    except (stories.BadStory, OSError) as error:
        raise UsageError(f"--stories {folder}: {error}") from None
    for word in only:
        if not any(word in (story.name, story.assignment, story.id) for story in found):
            raise UsageError(f"--only {word}: there is no such story or assignment in {folder}")
    return [s for s in found if not only or {s.name, s.assignment, s.id} & set(only)]


def _clients(
    stack: ExitStack, settings: Settings, server: str, token: str, course: str, database: str
) -> tuple[list[Client], dict[str, str]]:
    """One of the server named, or one for each grading at once of a service started for this command."""
    from grader.smoke import Client

    absent: dict[str, str] = {}
    if server:
        clients = [Client(server=server, token=token, course=course)]
    else:
        base, tokens, absent = stack.enter_context(_own_service(settings, database))
        clients = [Client(server=base, token=own, course=_COURSE, own=True) for own in tokens]
    for client in clients:
        stack.callback(client.close)
    return clients, absent


@contextmanager
def _own_service(settings: Settings, database: str) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """A service over an empty database, in a temporary folder unless one is given.

    Its address, tokens of its students, {assignment: why it is not there}.
    """
    from grader import assembly
    from grader.stories import SECRET
    from grader.web.app import create_app

    log_lines("error")
    with tempfile.TemporaryDirectory(prefix="grader-smoke-") as folder, ExitStack() as stack:
        own = settings.model_copy(
            update={
                "data_dir": Path(folder), "database_url": database, "public_url": "", "uploads_a_minute": 10_000,
                "requests_a_minute": 1_000_000, "secret": SecretStr(SECRET),
            }
        )  # fmt: skip
        if database:
            _fill_schema(own)
        sock = stack.enter_context(assembly.listen("127.0.0.1", 0))
        parts = stack.enter_context(opened_for_service(own, serving=True))
        missing = absent_runtimes(own, parts)
        slots = own.slots or 1
        tokens = _own_course(parts, missing, slots)
        grading = grading_for(own, parts, slots, (), exposed="")
        stack.callback(grading.close)
        grading.start()
        web = assembly.Web(create_app(service_of(own, parts)), grading.begin_to_stop)
        thread = threading.Thread(target=web.run, args=([sock],), name="web", daemon=True)
        thread.start()
        try:
            absent = {name: missing.get(parts.catalogue.get(name).runtime, "") for name in parts.catalogue.names}
            base = assembly.address_of(sock, "127.0.0.1")
            yield base, tokens, {name: why for name, why in absent.items() if why}
        finally:
            web.should_exit = True
            thread.join(_STOP_S)


def _fill_schema(settings: Settings) -> None:
    """Raises UsageError for a database in which there is something: a smoke test belongs into none that is used."""
    from grader import installation
    from grader.store import migrating

    store = installation.open_store(settings.database, make=True)
    try:
        if migrating.version(store) is not None:
            raise UsageError(f"--database: {store.place} is not empty; make one for this: createdb smoke")
        migrating.upgrade(store)
    finally:
        store.close()


def _own_course(parts: Parts, missing: dict[str, str], students: int) -> list[str]:
    """A course with all there is and so many students, whose tokens are returned."""
    from grader.service import accounts, publishing, roster
    from grader.service.access import SHELL, Scope

    now = datetime.now(UTC)
    with parts.store.write() as session:
        made = publishing.make_course(session, SHELL, _COURSE, "Smoke", "UTC", now)
        rules = publishing.Rules(opens_at=now - timedelta(minutes=1))
        for name in parts.catalogue.names:
            if parts.catalogue.get(name).runtime not in missing:
                publishing.publish(session, SHELL, made, parts.catalogue, name, rules, now)
        people = [
            roster.enrol(session, SHELL, made, roster.person(f"{_LOGIN}{number}", f"Smoke {number}"), now)
            for number in range(1, students + 1)
        ]
        return [accounts.make_token(session, SHELL, p.id, "smoke", [Scope.SUBMIT], 1, now)[1] for p in people]


def _show(results: Sequence[Result]) -> None:
    """One line a story in 80 columns, below each what differs."""
    out = terminal.console()
    table = Table(box=box.SIMPLE_HEAD, width=80, pad_edge=False)
    table.add_column("story", ratio=1, overflow="fold")
    table.add_column("score", justify="right")
    table.add_column("time", justify="right")
    table.add_column("", width=13)
    for result in results:
        verdict = "· skipped" if result.skipped else "✓ as expected" if result.good else "✗ different"
        score = "" if result.score is None else f"{result.score:g}/{result.story.score:g}"
        seconds = f"{result.seconds:.1f} s" if result.seconds else ""
        table.add_row(result.story.id, score, seconds, verdict)
    out.print(table)
    for result in results:
        if not result.good:
            out.print(f"{result.story.id}: {one_line(result.story.about)}", style="bold")
            for difference in result.differences:
                out.print(f"  {one_line(difference)}")
    for why in dict.fromkeys(result.skipped for result in results if result.skipped):
        out.print(f"Skipped: {one_line(why)}")
    good = sum(result.good and not result.skipped for result in results)
    skipped = sum(bool(result.skipped) for result in results)
    out.print(f"{good} as expected, {len(results) - good - skipped} different, {skipped} skipped.")
