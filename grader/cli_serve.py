"""`grader serve`, `grader worker`, `grader migrate`: the processes that run for long, and the schema they need."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from grader import __version__, terminal
from grader.errors import UsageError
from grader.logs import log_lines, password_of
from grader.sandbox.child import clean_text
from grader.settings import Settings, misspelled, read_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from grader.assembly import Grading, Parts
    from grader.demo import Invitation
    from grader.web.hosting import Service

# What these commands run is imported when one of them is: it takes longer than grading a file does.

log = logging.getLogger("grader")
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
    from grader.web.api.metrics import metrics_of
    from grader.web.app import create_app

    settings = read_settings()
    host = host or settings.host
    start_log(settings)
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
        parts = stack.enter_context(opened_for_service(settings, serving=True))
        parts.forget_lost_workers()
        service = service_of(settings, parts)
        application = create_app(service)
        metrics_of(application)  # counts from now on
        _trace("web", settings, stack, application)
        grading = None
        if settings.slots:
            exposed = "" if loopback else f"{host} is reached by other machines"
            public = urlsplit(settings.public_url).hostname or host
            if loopback and (settings.proxies or not assembly.is_loopback(public)):
                exposed = "other machines reach the service through a proxy (GRADER_PUBLIC_URL, GRADER_PROXIES)"
            grading = grading_for(settings, parts, settings.slots, (), exposed=exposed, grace_s=assembly.STOP_S)
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
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", help="Gradings at once.", min=1, max=64, show_default="GRADER_SLOTS"),
    ] = None,
    runtimes: Annotated[str, typer.Option("--runtimes", help="Only these, as numpy,tensorflow.")] = "",
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port", help="Port of /metrics; 0: none.", min=0, max=65535, show_default="GRADER_METRICS_PORT"
        ),
    ] = None,
) -> None:
    """Grade what comes in, beside a `grader serve`: on this machine, or on any with the same PostgreSQL database.

    SIGTERM or Ctrl-C: takes no more, finishes what it has within the time of the longest check, exit code
    0. 2: wrong usage, or there is no database. 5: no sandbox of the needed strength here.
    """
    from grader.cli_top import short

    settings = read_settings()
    start_log(settings)
    _warn_of_misspelled()
    end_on_signals()
    wanted = tuple(word.strip() for word in runtimes.split(",") if word.strip())
    port = settings.metrics_port if metrics_port is None else metrics_port
    try:
        with ExitStack() as stack:
            parts = stack.enter_context(opened_for_service(settings))
            parts.forget_lost_workers()
            _show_metrics(settings, parts, port, stack)
            _trace("worker", settings, stack)
            if not settings.slots and concurrency is None:
                log.warning("GRADER_SLOTS=0 is for grader serve; this worker grades 1 at once")
            slots = concurrency or settings.slots or 1
            grading = grading_for(settings, parts, slots, wanted)
            stack.callback(grading.close)
            grading.start()
            log.info(
                "grading in mode %s, %d at once, as %s; Grader %s, database %s",
                grading.mode, slots, short(grading.name, 80), __version__, parts.store.place,
            )  # fmt: skip
            while True:
                signal.pause()
    except SystemExit:
        log.info("stopped")
        raise


@app.command()
def migrate() -> None:
    """Bring the database to this version's schema; of an SQLite database a copy as it was is kept beside it.

    Exit code 0 when it is there. 2: something uses the SQLite database; PostgreSQL is migrated while it is used.
    """
    from grader import installation
    from grader.store import migrating

    settings = read_settings()
    store = installation.open_store(settings.database, make=True)
    found, needed = migrating.version(store), migrating.newest()
    copy = installation.bring_up_to_date(store, datetime.now(UTC))
    store.close()
    out = terminal.console()
    if copy is not None:
        out.print(f"The database as it was: {copy}", soft_wrap=True)
    if found == needed:
        done = f"Nothing to do: the schema is {needed}."
    else:
        done = f"Made the schema {needed}." if found is None else f"Brought the schema from {found} to {needed}."
    out.print(f"Database {store.place}\n{done}", soft_wrap=True)


def _warn_of_misspelled() -> None:
    for said in misspelled(os.environ):
        log.warning("%s", said)


# Parts -------------------------------------------------------------------------------------------------------------


@contextmanager
def opened_for_service(settings: Settings, *, serving: bool = False) -> Iterator[Parts]:
    """The database, locked as long as it is used, with what else a process of the service shares.

    serving: an SQLite database is made or upgraded on the way. One of PostgreSQL never is, since others may use it.
    """
    from grader import installation
    from grader.assembly import Parts
    from grader.service.catalogue import Catalogue
    from grader.store import migrating

    store = installation.open_store(settings.database, make=serving)
    with ExitStack() as stack:
        stack.callback(store.close)
        if serving:
            stack.enter_context(installation.being_served(store))
        if serving and not store.is_postgresql:
            copy = installation.bring_up_to_date(store, datetime.now(UTC))
            if copy is not None:
                log.info("the schema was upgraded; the database as it was: %s", copy)
        stack.enter_context(installation.in_use(store))
        migrating.require_newest(store)
        secret = installation.secret_of(store, settings.own_secret)
        parts = Parts(store=store, catalogue=Catalogue(settings.reference_dir), secret=secret)
        stack.callback(parts.close)
        yield parts


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
        advice=advise(""), absent=absent_runtimes(settings, parts), measures=parts.measures,
    )  # fmt: skip


def grading_for(
    settings: Settings, parts: Parts, slots: int, wanted: tuple[str, ...], *, exposed: str | None = None,
    grace_s: float | None = None,
) -> Grading:  # fmt: skip
    """Grading of the wanted runtimes, all by default. exposed: see Grading; none: as the settings say.

    grace_s: for gradings that run at a stop; none: what the longest check may take.
    """
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
    if grace_s is None:
        grace_s = max(assembly.STOP_S, assembly.longest_check_s(parts.catalogue, runtimes))
    return assembly.Grading(parts, config, runtimes, slots, exposed=exposed or "", grace_s=grace_s)


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
        return course.invitations(session, now, demo=demo, links=settings.log_format == "text")


def _welcome(
    address: str, settings: Settings, parts: Parts, grading: Grading | None, invited: list[Invitation], *, demo: bool
) -> None:
    """What somebody who starts the service needs to know, in 80 columns; links are never broken over lines."""
    absent = [f"Not available: {why}" for why in absent_runtimes(settings, parts).values()]
    facts = list(_facts(address, settings, parts, grading, demo=demo))
    if settings.log_format == "json":  # for machines that keep what they read: one object each, and no links
        never = [f"{person.login} has never signed in; a link: grader users link {person.login}" for person in invited]
        for fact in (*never, *absent, *facts):
            log.info("%s", fact)
        return
    out = terminal.console()
    if invited:
        out.print("Sign-in links. Each works once, until the next start or for 14 days:")
    for person in invited:
        out.print(f"\n  {clean_text(person.name, 60)}, {person.role} (login {person.login})")
        out.print(f"  {settings.public_url or address}/sign-in/link/{person.token}", style="cyan", soft_wrap=True)
    if invited:
        out.print()
    for fact in absent:
        out.print(fact)
    for fact in facts:
        out.print(fact, style="bold" if fact is facts[-1] else "", soft_wrap=True)
    sys.stdout.flush()


def _facts(address: str, settings: Settings, parts: Parts, grading: Grading | None, *, demo: bool) -> Iterator[str]:
    """What runs here, a sentence each."""
    if not demo and not parts.published():
        yield "There is no course yet; see: grader course make --help"
    yield f"Database {parts.store.place}"
    if grading is None:
        yield "It does not grade (GRADER_SLOTS=0); start beside it: grader worker"
    else:
        yield f"Sandbox mode {grading.mode}, {settings.slots} gradings at once"
    if settings.public_url:
        yield f"People reach it at {settings.public_url}"
    yield f"Grader {__version__} listens at {address}  (Ctrl-C stops it)"


# The log -----------------------------------------------------------------------------------------------------------


def start_log(settings: Settings) -> None:
    """The service's log, without any of its secrets."""
    secrets = [value.get_secret_value() for value in (settings.secret, settings.metrics_token) if value is not None]
    log_lines(settings.log_level, settings.log_format, [*secrets, *password_of(settings.database_url)])


def _show_metrics(settings: Settings, parts: Parts, port: int, stack: ExitStack) -> None:
    """Numbers of a worker's own gradings at a port, as long as the stack lasts."""
    from grader.assembly import is_loopback
    from grader.metrics import shown_at

    if port:
        token = "" if settings.metrics_token is None else settings.metrics_token.get_secret_value()
        stack.enter_context(shown_at(parts.measures, settings.metrics_host, port, token))
        log.info("metrics at http://%s:%d/metrics", settings.metrics_host, port)
        if not token and not is_loopback(settings.metrics_host):
            log.warning("whoever reaches that port reads them; GRADER_METRICS_TOKEN sets a token that they must know")


def _trace(role: str, settings: Settings, stack: ExitStack, application: FastAPI | None = None) -> None:
    """Traces, if the settings ask for them, as long as the stack lasts."""
    from grader import telemetry

    if settings.traces:
        telemetry.start(role)
        stack.callback(telemetry.stop)
        if application is not None:
            telemetry.watch(application)


def end_on_signals() -> None:
    """SIGTERM and Ctrl-C end this process with everything it opened closed, and with exit code 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(*_: object) -> None:
    raise SystemExit(0)
