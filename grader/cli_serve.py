"""`grader serve`, `grader worker`, `grader migrate`: the processes that run for long, and the schema they need."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader import __version__, terminal
from grader.errors import UsageError
from grader.sandbox.child import clean_text
from grader.settings import Settings, misspelled, read_settings

if TYPE_CHECKING:
    from grader.assembly import Grading, Parts
    from grader.demo import Invitation
    from grader.web.hosting import Service

# What these commands run is imported when one of them is: it takes longer than grading a file does.

log = logging.getLogger("grader")
Lock = Callable[[Path], AbstractContextManager[None]]
app = typer.Typer()


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen at.", show_default="GRADER_HOST")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", help="Port to listen at; 0 for any.", min=0, max=65535, show_default="GRADER_PORT"),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo/--no-demo", help="With a course to try things out.")] = False,
) -> None:
    """Serve pages and REST, and grade what comes in.

    Exit code 0 after SIGTERM or Ctrl-C. 2: wrong usage, the port is in use, or this database is served already. 5: no
    sandbox of the needed strength here.
    """
    from grader import assembly, installation
    from grader.web.app import create_app

    settings = read_settings()
    host = host or settings.host
    log_lines(settings.log_level)
    _warn_of_misspelled()
    end_on_signals()
    loopback = assembly.is_loopback(host)
    if not loopback and not settings.public_url:
        raise UsageError(
            f"{host} is reached by other machines, so the service must know the address people use, for links and to "
            "refuse other hosts: set GRADER_PUBLIC_URL, as https://grader.example.org"
        )
    with ExitStack() as stack:
        sock = stack.enter_context(assembly.listen(host, settings.port if port is None else port))
        parts = stack.enter_context(opened_for_service(settings, lock=installation.serving, upgrade=True))
        parts.forget_lost_workers()
        service = service_of(settings, parts)
        application = create_app(service)
        grading = None
        if settings.slots:
            exposed = "" if loopback else f"{host} is reached by other machines"
            grading = grading_for(settings, parts, settings.slots, (), exposed=exposed)
            stack.callback(grading.close)
        address = assembly.address_of(sock, host)
        installation.keep_address(parts.store, settings.public_url or address)
        _welcome(address, settings, parts, grading, first_steps(settings, parts, demo=demo), demo=demo)
        if grading is not None:
            grading.start()

        def on_stop() -> None:
            parts.bus.ended = True
            if grading is not None:
                grading.begin_to_stop()

        web = assembly.Web(application, on_stop)
        web.run([sock])
    log.info("stopped")


@app.command()
def worker(
    slots: Annotated[
        int | None, typer.Option("--slots", help="Gradings at once.", min=1, max=64, show_default="GRADER_SLOTS")
    ] = None,
    runtimes: Annotated[str, typer.Option("--runtimes", help="Only these, as numpy,tensorflow.")] = "",
) -> None:
    """Grade what comes in, beside a `grader serve` on this machine.

    Exit code 0 after SIGTERM or Ctrl-C. 2: wrong usage, or there is no database. 5: no sandbox of the needed
    strength here.
    """
    settings = read_settings()
    log_lines(settings.log_level)
    _warn_of_misspelled()
    end_on_signals()
    wanted = tuple(word.strip() for word in runtimes.split(",") if word.strip())
    with ExitStack() as stack:
        parts = stack.enter_context(opened_for_service(settings))
        parts.forget_lost_workers()
        grading = grading_for(settings, parts, slots or settings.slots or 1, wanted)
        stack.callback(grading.close)
        grading.start()
        log.info("grading in mode %s", grading.mode)
        while True:
            signal.pause()


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema; a copy of an older one is kept beside it.

    Exit code 0 when it is there. 2: something uses the database.
    """
    from grader import installation

    settings = read_settings()
    store = installation.open_store(settings.database, make=True)
    copy = installation.bring_up_to_date(store, datetime.now(UTC))
    store.close()
    out = terminal.console()
    if copy is not None:
        out.print(f"The database as it was: {copy}", soft_wrap=True)
    out.print("The schema is up to date.")


def _warn_of_misspelled() -> None:
    for said in misspelled(os.environ):
        log.warning("%s", said)


# Parts -------------------------------------------------------------------------------------------------------------


@contextmanager
def opened_for_service(settings: Settings, *, lock: Lock | None = None, upgrade: bool = False) -> Iterator[Parts]:
    """The database, locked as long as it is used, with what else a process of the service shares."""
    from grader import installation
    from grader.assembly import Parts
    from grader.service.catalogue import Catalogue
    from grader.store import migrating

    store = installation.open_store(settings.database, make=upgrade)
    file = installation.file_of(store)
    with ExitStack() as stack:
        stack.callback(store.close)
        if lock is not None:
            stack.enter_context(lock(file))
        if upgrade and (copy := installation.bring_up_to_date(store, datetime.now(UTC))) is not None:
            log.info("the schema was upgraded; the database as it was: %s", copy)
        stack.enter_context(installation.using(file))
        migrating.require_newest(store)
        secret = installation.secret_of(store, settings.own_secret)
        yield Parts(store=store, catalogue=Catalogue(settings.reference_dir), secret=secret)


def absent_runtimes(settings: Settings, parts: Parts) -> dict[str, str]:
    """{runtime: why it is not there and what adds it}."""
    runtimes = {parts.catalogue.get(name).runtime for name in parts.catalogue.names}
    found = {runtime: settings.absent_runtime(runtime) for runtime in sorted(runtimes)}
    return {runtime: why for runtime, why in found.items() if why is not None}


def service_of(settings: Settings, parts: Parts) -> Service:
    """What routes are given."""
    from urllib.parse import urlsplit

    from grader.assembly import LOOPBACK
    from grader.sandbox.modes import advise
    from grader.web.hosting import Service

    public = urlsplit(settings.public_url).hostname
    return Service(
        store=parts.store, queue=parts.queue, bus=parts.bus, catalogue=parts.catalogue, secret=parts.secret,
        hosts=LOOPBACK if public is None else LOOPBACK | {public}, public_url=settings.public_url,
        proxies=settings.proxies, uploads_a_minute=settings.uploads_a_minute,
        requests_a_minute=settings.requests_a_minute,
        metrics_token="" if settings.metrics_token is None else settings.metrics_token.get_secret_value(),
        advice=advise(""), absent=absent_runtimes(settings, parts),
    )  # fmt: skip


def grading_for(
    settings: Settings, parts: Parts, slots: int, wanted: tuple[str, ...], *, exposed: str | None = None
) -> Grading:
    """Grading of the wanted runtimes, all by default. exposed: see Grading; none: as the settings say."""
    from grader import assembly

    absent = absent_runtimes(settings, parts)
    known = [*assembly.installed(parts.catalogue, absent), *absent]
    for runtime in wanted:
        if runtime not in known:
            raise UsageError(f"--runtimes: there is no {runtime!r}; there are: {', '.join(known)}")
        if runtime in absent:
            raise UsageError(f"--runtimes: {absent[runtime]}")
    config = settings.sandbox()
    if exposed is not None:
        config = assembly.with_consent(config)
    runtimes = wanted or tuple(assembly.installed(parts.catalogue, absent))
    return assembly.Grading(parts, config, runtimes, slots, exposed=exposed or "")


def first_steps(settings: Settings, parts: Parts, *, demo: bool) -> list[Invitation]:
    """The first administrator, the demo course, and links for those of them who have never signed in."""
    from grader import assembly
    from grader import demo as course

    now = datetime.now(UTC)
    with parts.store.write() as session:
        course.first_administrator(session, now)
        if demo:
            runtimes = assembly.installed(parts.catalogue, absent_runtimes(settings, parts))
            course.make_demo(session, parts.catalogue, runtimes, now)
        return course.invitations(session, now, demo=demo)


def _welcome(
    address: str, settings: Settings, parts: Parts, grading: Grading | None, invited: list[Invitation], *, demo: bool
) -> None:
    """What somebody who starts the service needs to know, in 80 columns; links are never broken over lines."""
    out = terminal.console()
    if invited:
        out.print("Sign-in links. Each works once, until the next start or for 14 days:")
    for person in invited:
        out.print(f"\n  {clean_text(person.name, 60)}, {person.role} (login {person.login})")
        out.print(f"  {settings.public_url or address}/sign-in/link/{person.token}", style="cyan", soft_wrap=True)
    if invited:
        out.print()
    for why in absent_runtimes(settings, parts).values():
        out.print(f"Not available: {why}")
    if not demo and not parts.published():
        out.print("There is no course yet; see: grader course make --help")
    out.print(f"Database {parts.store.file}", soft_wrap=True)
    if grading is None:
        out.print("It does not grade (GRADER_SLOTS=0); start beside it: grader worker")
    else:
        out.print(f"Sandbox mode {grading.mode}, {settings.slots} gradings at once")
    if settings.public_url:
        out.print(f"People reach it at {settings.public_url}", soft_wrap=True)
    out.print(f"Grader {__version__} listens at {address}  (Ctrl-C stops it)", style="bold", soft_wrap=True)
    sys.stdout.flush()


# The log -----------------------------------------------------------------------------------------------------------


class OneLine(logging.Formatter):
    """An event is one line, whatever text of people is in it; only tracebacks take more. No control characters."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).replace("\n", "\\n").replace("\t", "\\t")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return clean_text(text, len(text))


def log_lines(level: str) -> None:
    """The service's log on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn.error", "alembic", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def end_on_signals() -> None:
    """SIGTERM and Ctrl-C end this process with everything it opened closed, and with exit code 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(*_: object) -> None:
    raise SystemExit(0)
