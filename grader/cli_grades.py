"""`grader grades` and `grader regrade`: what students stand at, and grading again, from the shell of the machine."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from grader import terminal
from grader.cli_output import CourseOption, JsonOption, course_named, opened_store, published_named, show, word
from grader.errors import UsageError
from grader.reports import Json
from grader.settings import read_settings

if TYPE_CHECKING:
    from grader.service.regrading import Change
    from grader.store.engine import Store

app = typer.Typer()
_LOOK_S = 0.2


@app.command(name="grades")
def show_grades(
    course: CourseOption,
    assignment: Annotated[str, typer.Option("--assignment", "-a", help="Only of this assignment.")] = "",
    student: Annotated[str, typer.Option("--student", help="Only of this login.")] = "",
    section: Annotated[str | None, typer.Option("--section", help="Only of this section.")] = None,
    status: Annotated[str, typer.Option("--status", help="missing, pending, not_gradable or graded.")] = "",
    min_score: Annotated[float | None, typer.Option("--min-score", help="At least so many points.")] = None,
    max_score: Annotated[float | None, typer.Option("--max-score", help="At most so many points.")] = None,
    sort: Annotated[
        str, typer.Option("--sort", help="name, login, section, score or updated; -score for descending.")
    ] = "name",
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, with every column.")] = False,
    canvas: Annotated[bool, typer.Option("--canvas", help="As CSV that Canvas imports.")] = False,
    moodle: Annotated[bool, typer.Option("--moodle", help="As CSV that Moodle imports.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show grades that match every condition given."""
    from grader.service import exports, publishing
    from grader.service import grades as asking
    from grader.store.states import GradeStatus

    if csv + canvas + moodle + as_json > 1:
        raise UsageError("choose one of --csv, --canvas, --moodle and --json")
    with opened_store() as store, store.read() as session:
        of = course_named(session, course)
        wanted = asking.Wanted(
            course_id=of.id, assignment=assignment, login=student, section=section, least=min_score, most=max_score,
            status=word("--status", status, GradeStatus) if status else None,
        )  # fmt: skip
        published = [row.name for row in publishing.listed(session, of.id)]
        if assignment and assignment not in published:
            raise UsageError(f"there is no assignment {assignment!r} in {course}; there are: {', '.join(published)}")
        found = asking.everything(session, wanted, sort=sort)
    if csv or canvas or moodle:
        shape = exports.Shape.CANVAS if canvas else exports.Shape.MOODLE if moodle else exports.Shape.GRADER
        text = exports.to_csv(found, shape, assignments=[assignment] if assignment else published)
        sys.stdout.buffer.write(text.encode())
        return
    rows: list[dict[str, Json]] = [
        {**asdict(row), "status": str(row.status), "updated_at": row.updated_at.isoformat()} for row in found
    ]
    columns = {
        "login": "login", "name": "name", "section": "section", "assignment": "assignment", "status": "status",
        "score": "score", "attempts": "tries",
    }  # fmt: skip
    show(rows, columns, as_json=as_json, empty="No grade matches.")


# Regrading ---------------------------------------------------------------------------------------------------------


@app.command(name="regrade")
def regrade_assignment(
    course: CourseOption,
    assignment: Annotated[str, typer.Option("--assignment", "-a", help="Name of the assignment.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the log keeps it.")] = "",
    every_attempt: Annotated[
        bool, typer.Option("--every-attempt", help="Every attempt, not only those that count.")
    ] = False,
    publish: Annotated[bool, typer.Option("--publish", help="Let the new scores count when all are graded.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Grade an assignment's submissions again by the running service, and show scores before and after.

    Nothing is shown to students before it is published: here with --publish, also later and without a reason, or in
    the pages. Ctrl-C stops the waiting only.
    """
    with opened_store() as store:
        number = _begin(store, course, assignment, reason, every_attempt, go_on=publish and not reason)
        _wait(store, number)
        changes, graded = _outcome(store, number, publish)
    changed = [change for change in changes if change.changed]
    rows: list[dict[str, Json]] = [
        {
            "login": change.login, "name": change.name, "attempt": change.number, "before": change.before,
            "after": change.after, "status": change.status, "submission": change.submission_id,
            "checks": [f"{c.check_id} {_points(c.before)} to {_points(c.after)}" for c in change.checks],
        }
        for change in (changes if as_json else changed)
    ]  # fmt: skip
    if as_json:
        print(json.dumps({"regrade": number, "published": publish, "changes": rows}, ensure_ascii=False, indent=2))
        return
    columns = {"login": "login", "attempt": "attempt", "before": "before", "after": "after", "checks": "checks"}
    show(rows, columns, as_json=False, empty="No score and no check changed.")
    out = terminal.console()
    out.print(f"{len(changes)} graded again, {len(changed)} changed.")
    if publish:
        out.print(f"Published: {graded} grades changed.")
    else:
        out.print(f"Not published yet: grader regrade -c {course} -a {assignment} --publish", soft_wrap=True)


def _begin(store: Store, course: str, name: str, reason: str, every_attempt: bool, *, go_on: bool) -> int:
    """The number of a new regrade; go_on: of the one that is not published yet."""
    from sqlalchemy import select

    from grader.queue.choosing import queue_of
    from grader.service import regrading
    from grader.service.access import SHELL
    from grader.service.catalogue import Catalogue
    from grader.store.models import Regrade
    from grader.store.states import RegradeState

    catalogue = Catalogue(read_settings().reference_dir)
    with store.write() as session:
        published = published_named(session, course, name)
        unfinished = Regrade.state.in_([RegradeState.RUNNING, RegradeState.READY])
        found = session.scalar(select(Regrade.id).where(Regrade.published_id == published.id, unfinished))
        if go_on and found is not None:
            return found
        regrade = regrading.begin(
            session, queue_of(store), SHELL, published, catalogue.get(name), every_attempt=every_attempt,
            reason=reason, now=datetime.now(UTC),
        )  # fmt: skip
        return regrade.id


def _wait(store: Store, number: int) -> None:
    """Until every submission is graded; says so when there is nobody who grades. Raises UsageError when cancelled."""
    from sqlalchemy import func, select

    from grader.service import regrading
    from grader.store.models import Regrade
    from grader.store.models import Worker as WorkerRow
    from grader.store.states import RegradeState

    errors = terminal.console(stderr=True)
    with store.read() as session:
        if not session.scalar(select(func.count()).select_from(WorkerRow)):
            errors.print("No worker is running, so this waits until one does: grader serve, or grader worker")
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as shown:
        task = shown.add_task("grading again", total=None)
        while True:
            with store.read() as session:
                now = regrading.progress(session, session.get_one(Regrade, number))
            shown.update(task, completed=now.done, total=now.total)
            if now.state is RegradeState.CANCELLED:
                raise UsageError("this regrade was cancelled")
            if now.state is not RegradeState.RUNNING:
                return
            time.sleep(_LOOK_S)


def _outcome(store: Store, number: int, publish: bool) -> tuple[list[Change], int]:
    """Scores before and after, and how many grades changed by publishing."""
    from grader.service import regrading
    from grader.service.access import SHELL
    from grader.store.models import Regrade

    with store.write() if publish else store.read() as session:  # many rows: nobody else may wait for a mere look
        regrade = session.get_one(Regrade, number)
        changes = regrading.changes(session, regrade)
        return changes, regrading.publish(session, SHELL, regrade, datetime.now(UTC)) if publish else 0


def _points(points: float | None) -> str:
    return "none" if points is None else f"{points:g}"
