"""The command line: grade, prove, doctor, assignments. Exit codes are in docs/reference/command-line.md."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import Progress, SpinnerColumn

from grader import (
    __version__,
    cli_backup,
    cli_courses,
    cli_figures,
    cli_grades,
    cli_new,
    cli_people,
    cli_serve,
    cli_smoke,
    cli_top,
    formats,
    terminal,
)
from grader.assignments import Assignment, load, load_all
from grader.doctor import examine, render_findings
from grader.errors import GraderError, SandboxError, UsageError
from grader.grading import Engine, keep_what_is_loaded
from grader.logs import hide
from grader.proving import Proof, prove
from grader.proving_table import matrix
from grader.reports import Language, Report, ReportStatus
from grader.sandbox.pool import Sandbox
from grader.settings import Settings, read_settings

app = typer.Typer(
    name="grader",
    help="Grade deep-learning homework in a sandbox, and say what is wrong.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

EXIT_NOT_PROVED, EXIT_NOT_GRADABLE, EXIT_GRADER_ERROR = 1, 3, 4


class Lang(StrEnum):
    en = "en"
    zh = "zh"


AssignmentOption = Annotated[
    str, typer.Option("--assignment", "-a", help="Name of the assignment; see: grader assignments")
]
UnsafeOption = Annotated[
    bool,
    typer.Option(
        "--unsafe-own-code", help="Run without isolation where there is none. Your own code only; not for credit."
    ),
]
LangOption = Annotated[Lang, typer.Option("--lang", help="Language of the messages.")]


@app.command()
def grade(
    files: Annotated[list[Path], typer.Argument(help="Notebooks (.ipynb), scripts (.py) or zip files of those.")],
    assignment: AssignmentOption,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object; an array for several files.")] = False,
    junit: Annotated[bool, typer.Option("--junit", help="JUnit XML for CI.")] = False,
    gradescope: Annotated[bool, typer.Option("--gradescope", help="Gradescope's results.json (one file).")] = False,
    seed: Annotated[str, typer.Option("--seed", help="Seed of an earlier report: the same inputs again.")] = "",
    figures: Annotated[
        Path | None,
        typer.Option("--figures", metavar="DIR", help="Folder for charts (SVG) and what the code drew (PNG)."),
    ] = None,
    lang: LangOption = Lang.en,
    unsafe_own_code: UnsafeOption = False,
) -> None:
    """Grade files against an assignment and explain every failure.

    Exit code 0: all files were graded, whatever the score. 2: wrong usage. 3: a file could not be graded.
    4: the grader failed. 5: no sandbox here.
    """
    if as_json + junit + gradescope > 1:
        raise UsageError("choose one of --json, --junit and --gradescope")
    if gradescope and len(files) != 1:
        raise UsageError("--gradescope takes exactly one file")
    if seed and not _is_seed(seed):
        raise UsageError(f"--seed takes 32 hexadecimal digits as a report shows them, got {seed!r}")
    settings = read_settings()
    chosen = find_assignment(settings, assignment)
    if figures is not None:
        cli_figures.make_folder(figures)
    uploads = [(file, read_file(file)) for file in files]
    machine = as_json or junit or gradescope
    with engine_for(settings, unsafe_own_code, parked=min(len(files), settings.parked)) as engine:
        reports = list(_grade_all(engine, chosen, uploads, seed, quiet=machine))
    if as_json:
        shown = [report.to_json(lang.value) for report in reports]
        print(json.dumps(shown[0] if len(shown) == 1 else shown, ensure_ascii=False, indent=2))
    elif junit:
        print(formats.junit(reports, lang.value))
    elif gradescope:
        print(json.dumps(formats.gradescope(reports[0], lang.value), ensure_ascii=False, indent=2))
    else:
        show_reports(reports, lang.value, hint=figures is None)
    if figures is not None:
        written = cli_figures.write(reports, figures, lang.value)
        print(written, file=sys.stderr if machine else sys.stdout)
    raise typer.Exit(exit_code(reports))


def _grade_all(
    engine: Engine, assignment: Assignment, uploads: list[tuple[Path, bytes]], seed: str, *, quiet: bool
) -> Iterator[Report]:
    errors = terminal.console(stderr=True)
    with Progress(
        SpinnerColumn(),
        *Progress.get_default_columns(),
        console=errors,
        transient=True,
        disable=quiet or not errors.is_terminal,
    ) as progress:
        starting = progress.add_task(f"starting {assignment.runtime}", total=None)
        engine.warm_up(assignment)
        keep_what_is_loaded()
        progress.remove_task(starting)
        for file, data in progress.track(uploads, description="grading"):
            yield replace(engine.grade(assignment, file.name, data, seed=seed or None), file=str(file))


def show_reports(reports: list[Report], lang: Language, *, hint: bool = False) -> None:
    """hint: also how to see the figures, where there are some."""
    out = terminal.console()
    if len(reports) == 1:
        out.print(terminal.render(reports[0], lang))
    else:
        out.print(terminal.summary(reports, lang))
    if hint and (line := terminal.figures_hint(reports, lang)):
        out.print(line)


def exit_code(reports: list[Report]) -> int:
    """0 when every file was graded; our own fault weighs more than a file that cannot be graded."""
    statuses = {report.status for report in reports}
    if ReportStatus.GRADER_ERROR in statuses:
        return EXIT_GRADER_ERROR
    return EXIT_NOT_GRADABLE if ReportStatus.NOT_GRADABLE in statuses else 0


@app.command(name="prove")
def prove_command(
    assignments: Annotated[
        list[str] | None, typer.Argument(help="Names of assignments; all whose runtime is installed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The matrix as JSON (one assignment).")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Mistakes without the long training checks.")] = False,
    unsafe_own_code: UnsafeOption = False,
) -> None:
    """Prove assignments: solution full marks, starter zero, every known mistake loses points and is named.

    Prints the matrix of mistakes and checks. Exit code 1 when something does not hold.
    """
    settings = read_settings()
    chosen = [find_assignment(settings, name) for name in assignments or []] or _provable(settings)
    if as_json and len(chosen) != 1:
        raise UsageError("--json takes exactly one assignment")
    held = True
    with engine_for(settings, unsafe_own_code) as engine:
        for assignment in chosen:
            proofs = _prove_one(engine, assignment, quick=quick)
            held = held and not any(proof.faults for proof in proofs)
            if as_json:
                print(json.dumps([_proof_json(proof) for proof in proofs], ensure_ascii=False, indent=2))
            else:
                out = terminal.console()
                if len(chosen) > 1:
                    out.print(assignment.name, style="bold")
                out.print(matrix(assignment, proofs))
    raise typer.Exit(0 if held else EXIT_NOT_PROVED)


def _provable(settings: Settings) -> list[Assignment]:
    """Every assignment, without those whose runtime is missing, which are said."""
    found = []
    for assignment in load_all(settings.reference_dir).values():
        absent = settings.absent_runtime(assignment.runtime)
        if absent is None:
            found.append(assignment)
        else:
            print(f"{assignment.name} is not proved: {absent}", file=sys.stderr)
    return found


def _prove_one(engine: Engine, assignment: Assignment, *, quick: bool) -> list[Proof]:
    errors = terminal.console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        engine.warm_up(assignment)
        task = progress.add_task(f"proving {assignment.name}", total=len(assignment.mistakes) + 2)
        proofs = []
        for proof in prove(engine, assignment, quick=quick):
            proofs.append(proof)
            progress.advance(task)
        return proofs


def _proof_json(proof: Proof) -> dict[str, Any]:
    checks = {c.id: {"status": str(c.status), "mistake": c.mistake} for c in proof.report.checks}
    status = str(proof.report.status)
    return {
        "name": proof.name,
        "status": status,
        "score": proof.report.score,
        "faults": list(proof.faults),
        "checks": checks,
    }


@app.command(name="assignments")
def assignments_command(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False, lang: LangOption = Lang.en
) -> None:
    """List the assignments, their parts and points, and whether their runtime is installed."""
    settings = read_settings()
    rows: list[dict[str, Any]] = []
    for item in load_all(settings.reference_dir).values():
        absent = settings.absent_runtime(item.runtime)
        rows.append(
            {
                "name": item.name,
                "title": item.title.say(lang.value),
                "runtime": item.runtime,
                "version": item.version,
                "max_score": item.max_score,
                "parts": [part.name for part in item.parts],
                "available": absent is None,
                "missing": absent,
            }
        )
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    out = terminal.console()
    for row in rows:
        out.print(
            f"{row['name']}  ({row['runtime']}, {row['max_score']:g} points, version {row['version']})", style="bold"
        )
        out.print(f"  {row['title']}")
        out.print(f"  parts: {', '.join(row['parts'])}")
        if row["missing"]:
            out.print(f"  not available: {row['missing']}")


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Examine this machine: sandbox mode, every layer with its evidence, what is missing and the command that gives it.

    Exit code 0 in modes A and B, 5 otherwise.
    """
    examination = examine(read_settings().sandbox(parked=1))
    if as_json:
        print(json.dumps(examination.to_json(), ensure_ascii=False, indent=2))
    else:
        terminal.console().print(render_findings(examination))
    raise typer.Exit(0 if examination.sound else 5)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"grader {__version__}")
        raise typer.Exit


for commands in (cli_new, cli_serve, cli_people, cli_courses, cli_grades, cli_backup, cli_smoke, cli_top):
    app.add_typer(commands.app)


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Grade deep-learning homework in a sandbox, and say what is wrong."""


# What commands share -----------------------------------------------------------------------------------------------


def find_assignment(settings: Settings, name: str) -> Assignment:
    """The named assignment. Raises UsageError that lists the names there are."""
    folder = settings.reference_dir / name
    if name == folder.name and (folder / "assignment.toml").is_file():
        return load(folder)  # alone: the others cost time, and one that is being written must not be in the way
    names = ", ".join(load_all(settings.reference_dir))
    raise UsageError(f"there is no assignment {name!r}; there are: {names}")


def read_file(path: Path) -> bytes:
    """The bytes of an upload. Raises UsageError when there are none to read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; name the notebook, script or zip in it") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _is_seed(text: str) -> bool:
    return len(text) == 32 and all(c in "0123456789abcdef" for c in text.lower())


@contextmanager
def engine_for(settings: Settings, unsafe_own_code: bool, parked: int | None = None) -> Iterator[Engine]:
    """An engine over a sandbox that lives as long as the command."""
    with Sandbox(settings.sandbox(unsafe_own_code=unsafe_own_code, parked=parked)) as sandbox:
        engine = Engine(sandbox, settings.own_secret or b"local")
        try:
            yield engine
        finally:
            engine.close()


Result = TypeVar("Result")


def say_errors(run: Callable[[], Result]) -> Result:
    """Runs a command; an error of ours becomes one line of what and what to do, and its exit code."""
    try:
        return run()
    except GraderError as error:
        kind = "sandbox" if isinstance(error, SandboxError) else "error"
        print(f"grader: {kind}: {hide(str(error))}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="grader: %(message)s", stream=sys.stderr)
    say_errors(app)
