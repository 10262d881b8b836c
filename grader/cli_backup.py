"""`grader backup`, `restore`, `verify`, `move`: everything the service keeps, copied, put back, read again, moved."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grader import terminal
from grader.errors import UsageError
from grader.settings import read_settings

if TYPE_CHECKING:
    from grader.store.verifying import Contents

app = typer.Typer()


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")]) -> None:
    """Copy the database into a file, also while the service runs, and check the copy with every upload in it.

    Keep the copy as safe as the database: it holds everything, the service's secret too.
    """
    from grader import installation

    store = installation.open_store(read_settings().database)
    with installation.using(installation.file_of(store)):
        size = installation.backup(store, file)
    store.close()
    terminal.console().print(f"{file}: {size / 2**20:.1f} MiB, checked", soft_wrap=True)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that grader backup wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the database's place; the present database is kept beside it.

    Exit code 2 while grader serve, grader worker or another command uses the database.
    """
    from grader import installation
    from grader.store.engine import Store

    settings = read_settings()
    installation.file_of(Store(settings.database))
    installation.check(file, contents=False)
    out = terminal.console()
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("say --yes to restore without being asked")
        out.print(f"{file} replaces {Store(settings.database).place}", soft_wrap=True)
        typer.confirm("Go on?", abort=True)
    kept = installation.restore(file, settings.database, datetime.now(UTC))
    out.print("Restored." if kept is None else f"Restored. The database as it was: {kept}", soft_wrap=True)


@app.command()
def verify() -> None:
    """Read every upload and every report of the database, SQLite or PostgreSQL, and compare them with what was stored.

    Also while the service runs. Exit code 4 and the name of the first that is damaged.
    """
    from grader import installation
    from grader.store import migrating, verifying

    store = installation.open_store(read_settings().database)
    with installation.in_use(store):
        migrating.require_newest(store)
        if store.file is not None:
            installation.check(store.file, contents=False)
        found = verifying.verify(store)
    store.close()
    terminal.console().print(_counted(found), soft_wrap=True)


@app.command()
def move(file: Annotated[Path, typer.Argument(help="The SQLite database to move.")]) -> None:
    """Copy a whole SQLite database into the empty PostgreSQL database of GRADER_DATABASE_URL, and compare the two.

    Stop the service first. The file is only read, then renamed, so that nobody serves it any more. Exit code 2 while
    something uses the file, or when the database is not empty; then nothing was copied.
    """
    from grader import installation, moving
    from grader.store.engine import Store

    installation.check(file, contents=False)
    target = installation.open_store(read_settings().database)
    source = Store(f"sqlite:///{file.resolve()}")
    with installation.alone(file, "so that nothing is handed in meanwhile"):
        found = moving.move(source, target)
        source.close()
        kept = installation.put_away(file.resolve(), datetime.now(UTC))
    target.close()
    out = terminal.console()
    out.print(f"Moved to {target.place}. {_counted(found)}", soft_wrap=True)
    if kept is None:
        out.print(f"{file} was only read. Do not serve it any more.", soft_wrap=True)
    else:
        out.print(f"The file as it was, which nobody should serve any more: {kept}", soft_wrap=True)
    out.print("Set GRADER_DATABASE_URL to the new database wherever grader serve and grader worker start.")


def _counted(found: Contents) -> str:
    return f"Uploads: {found.uploads}, reports: {found.reports}; each is what was stored."
