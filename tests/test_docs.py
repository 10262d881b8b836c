"""What the documentation promises: commands exist, links resolve, tables match the code, examples run."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from grader import checks
from grader.assignments import Assignment, load, load_all
from grader.cli import EXIT_NOT_PROVED, app, exit_code
from grader.errors import GraderError
from grader.reports import CheckResult, LeftOut, PartScore, Report, ReportStatus, Status, Text, Worst
from grader.settings import PROJECT, Settings

DOCS = PROJECT / "docs"
README = PROJECT / "README.md"
PAGES = [README, PROJECT / "CHANGELOG.md", PROJECT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLE = DOCS / "how-to" / "write-an-assignment.md"


def leaves(commands: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """("users list", its command) for every command, however deep."""
    for name, command in commands.items():
        if "commands" in vars(command):
            yield from leaves(vars(command)["commands"], f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(leaves(vars(typer.main.get_command(app))["commands"]))
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}
ASSIGNMENTS = load_all(PROJECT / "reference")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
every_assignment = pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=list(ASSIGNMENTS))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def load_generator() -> ModuleType:
    path = DOCS / "reference" / "generate.py"
    spec = importlib.util.spec_from_file_location("docs_reference_generate", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate: Any = load_generator()


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips where there is no sandbox or no runner environment; in CI that fails, for nothing is skipped there."""
    run = generate.grader("doctor", "--json")
    assert run.returncode in (0, 5), run.stderr
    missing = "" if run.returncode == 0 else run.stderr.strip() or json.loads(run.stdout)["refused"] or "a probe failed"
    for item in [] if missing else json.loads(generate.grader("assignments", "--json").stdout):
        missing = missing or item["missing"] or ""
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"needed in CI: {missing}")
    if missing:
        pytest.skip(missing)


# Reading pages --------------------------------------------------------------------------------------------------------


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, body in re.findall(r"^```(\w*)\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE):
        if language in languages:
            yield body


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)


def section(page: Path, heading: str) -> str:
    """What stands below a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", read(page), re.DOTALL | re.MULTILINE)
    assert found is not None, f"{page.name} has no section {heading!r}"
    return found[1]


def table(text: str) -> list[list[str]]:
    """The cells of every row of the tables in a text, without headings and without backticks."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.split("\n") if line.startswith("|")]
    rules = [at for at, row in enumerate(rows) if all(re.fullmatch(":?-+:?", cell) for cell in row)]
    drop = {at for rule in rules for at in (rule - 1, rule)}
    return [[cell.replace("`", "") for cell in row] for at, row in enumerate(rows) if at not in drop]


def first_cells(page: Path, heading: str) -> list[str]:
    return [row[0] for row in table(section(page, heading))]


def anchors(page: Path) -> set[str]:
    """The names that headings of a page can be linked by."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    return [
        link
        for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(page))
        if not link.startswith(("http:", "https:", "mailto:"))
    ]


# Pages ----------------------------------------------------------------------------------------------------------------


@every_page
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert target.is_relative_to(PROJECT), f"{page.name} links out of the project: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}: no such heading"


@every_page
def test_named_files_exist(page: Path) -> None:
    roots = "grader|tests|docs|deploy|reference|benchmarks|submissions"
    for name in re.findall(rf"`((?:{roots})/[\w./]*)`", prose(page)):
        assert (PROJECT / name).exists(), f"{page.name} names {name}"


def test_every_page_is_listed() -> None:
    listed = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (README, DOCS / "README.md")
        for link in links(page)
    }
    assert set(PAGES) - listed - {README, DOCS / "README.md"} == set()


@every_page
def test_python_blocks_are_python(page: Path) -> None:
    for body in blocks(page, "python"):
        ast.parse(body)
    for body in blocks(page, "toml"):
        tomllib.loads(body)


@every_page
def test_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    code = [line for body in blocks(page, "sh") for line in body.split("\n")] + re.findall(r"`([^`\n]+)`", prose(page))
    for line in code:
        line = line.partition(" #")[0]
        make = re.match(r"make ([a-z]+)", line)
        assert make is None or make[1] in targets, f"{page.name}: {line}"
        command = re.match(r"(?:\w+=\S+ )*(?:.* )?(?:\.venv/bin/)?grader ([a-z]+)((?: [a-z][a-z-]*)?)(.*)", line)
        if command is not None:
            name = command[1] + command[2] if command[1] in GROUPS else command[1]
            if name in GROUPS and not command[3]:  # a group as a whole
                continue
            assert name in COMMANDS, f"{page.name}: {line}"
            known = {opt for parameter in COMMANDS[name].params for opt in (*parameter.opts, *parameter.secondary_opts)}
            assert set(re.findall(r"(?<=\s)--?[a-z][\w-]*", command[3])) <= known | {"--help"}, f"{page.name}: {line}"


def test_decisions_are_dated() -> None:
    numbers = []
    for page in sorted((DOCS / "decisions").glob("*.md")):
        title, _, date = read(page).split("\n")[:3]
        assert title.startswith(f"# {page.name[:4]}: ")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)
        numbers.append(int(page.name[:4]))
    assert numbers == list(range(1, len(numbers) + 1))


# The README's first screen --------------------------------------------------------------------------------------------


def score_line(report: str) -> str:
    return next(line for line in report.split("\n") if line.startswith("Score "))


def first_card(report: str) -> str:
    """The text in the box of the first thing to fix, on one line."""
    inside = report.partition("╭")[2].partition("╰")[0]
    return " ".join(line.strip("│ ") for line in inside.split("\n")[1:]).strip()


@pytest.mark.sandbox
@pytest.mark.tensorflow
@pytest.mark.usefixtures("sandbox")
def test_readme_shows_a_real_report() -> None:
    shown, real = generate.block(read(README), "report"), generate.first_report(read(README))
    assert score_line(shown) == score_line(real)
    hints = [" ".join(m.hint.en.split()) for m in ASSIGNMENTS["tensorflow_basics"].mistakes]
    named = [hint for hint in hints if hint in first_card(real)]
    assert named, "the report names no known mistake"
    assert named == [hint for hint in hints if hint in first_card(shown)]
    assert shown == real, "write it anew: .venv/bin/python docs/reference/generate.py"


# The example assignment -----------------------------------------------------------------------------------------------


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The files of the page in a folder."""
    files = re.findall(r"^`(standardise/[\w./]+)`\n\n```\w+\n(.*?)^```$", read(EXAMPLE), re.DOTALL | re.MULTILINE)
    for name, body in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(body, encoding="utf-8")
    assert len(files) == 5
    assert sum(body.count("\n") for _, body in files) < 40, "the page promises fewer than 40 lines"
    return tmp_path


def test_example_loads(example: Path) -> None:
    assignment = load(example / "standardise")
    assert assignment.max_score == 10
    assert [mistake.name for mistake in assignment.mistakes] == ["rows_for_columns"]


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
def test_example_is_proved(example: Path) -> None:
    run = generate.grader("prove", "standardise", GRADER_REFERENCE_DIR=str(example))
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.rstrip().split("\n")[-1].rstrip() in read(EXAMPLE)


def test_authors_names_are_explained() -> None:
    named = {name for row in table(section(EXAMPLE, "How a check works")) for name in row[0].split(", ")}
    assert named == set(checks.__all__)


def test_default_limits_are_as_told() -> None:
    limits = checks.CheckLimits()
    times = f"{limits.cpu_s:g} s of CPU, {limits.wall_s:g} s of wall time"
    sizes = f"{limits.memory_mib} MiB and {limits.output_kib} KiB of output"
    assert f"{times}, {sizes}" in " ".join(read(EXAMPLE).split())


# The reference --------------------------------------------------------------------------------------------------------

COMMAND_LINE, SETTINGS = DOCS / "reference" / "command-line.md", DOCS / "reference" / "settings.md"
REPORT, TABLES = DOCS / "reference" / "report.md", DOCS / "reference" / "assignments.md"


def test_every_command_is_described() -> None:
    headings = re.findall(r"^## grader ([\w -]+)$", read(COMMAND_LINE), re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_options_are_described(name: str) -> None:
    parameters = COMMANDS[name].params
    described = {row[0]: row[1] for row in table(section(COMMAND_LINE, f"grader {name}"))}
    assert set(described) == {", ".join(parameter.opts) for parameter in parameters}
    for parameter in parameters:
        assert (described[", ".join(parameter.opts)] == "required") is parameter.required


def test_exit_codes_are_described() -> None:
    codes = {
        0,
        EXIT_NOT_PROVED,
        exit_code([report(ReportStatus.NOT_GRADABLE)]),
        exit_code([report(ReportStatus.GRADER_ERROR)]),
    }
    todo: list[type[GraderError]] = [GraderError]
    while todo:
        kind = todo.pop()
        codes.add(kind.exit_code)
        todo += kind.__subclasses__()
    assert first_cells(COMMAND_LINE, "Exit codes") == [str(code) for code in sorted(codes)]


def test_settings_are_described() -> None:
    shown = generate.block(read(SETTINGS), "settings")
    assert shown == generate.settings_table(), "write it anew: .venv/bin/python docs/reference/generate.py"
    rows = {row[0]: row[1:] for row in table(shown)}
    assert set(rows) == {f"GRADER_{name.upper()}" for name in Settings.model_fields}
    assert rows["GRADER_PORT"][:2] == ["8000", "0 to 65535"]
    assert rows["GRADER_LANDLOCK"][:2] == ["true", "true, false"]
    assert rows["GRADER_SECRET"][:2] == ["none", "text, shown nowhere"]
    assert rows["GRADER_DATA_DIR"][:2] == ["var", "a path"]


def report(status: ReportStatus = ReportStatus.GRADED) -> Report:
    """A report in which every optional thing is there."""
    text = Text(en="a sentence", zh="一句话")
    check = CheckResult(
        id="check", part="part", title=text, status=Status.FAILED, points=0, max_points=1, message=text,
        worst=Worst(index=(0,), difference=1.0),
    )  # fmt: skip
    return Report(
        assignment="assignment", assignment_version="0", status=status, score=0, max_score=1, checks=(check,),
        parts=(PartScore(name="part", score=0, max_score=1),), notes=(text,),
        left_out=(LeftOut(where=text, what="print()", why=text),),
    )  # fmt: skip


def test_report_is_described() -> None:
    shown = report().to_json()
    assert first_cells(REPORT, "The object") == list(shown)
    assert first_cells(REPORT, "A part") == list(shown["parts"][0])
    assert first_cells(REPORT, "A check") == list(shown["checks"][0])
    assert first_cells(REPORT, "A piece left out") == list(shown["left_out"][0])
    assert first_cells(REPORT, "Report statuses") == [str(status) for status in ReportStatus]
    assert first_cells(REPORT, "Check statuses") == [str(status) for status in Status]
    worst = next(row for row in table(section(REPORT, "A check")) if row[0] == "worst")
    assert all(key in worst[2] for key in shown["checks"][0]["worst"])


@pytest.mark.sandbox
@pytest.mark.tensorflow
@pytest.mark.usefixtures("sandbox")
def test_timings_are_described() -> None:
    file = "submissions/tensorflow_basics/correct_notebook/solution.ipynb"
    graded = json.loads(generate.grader("grade", file, "-a", "tensorflow_basics", "--json").stdout)
    assert first_cells(REPORT, "Timings") == list(graded["timings_ms"])
    assert list(graded) == first_cells(REPORT, "The object")


@every_assignment
def test_checks_and_mistakes_are_described(assignment: Assignment) -> None:
    page = read(TABLES)
    assert generate.block(page, f"{assignment.name} checks") == generate.checks_table(assignment)
    names = [line.split()[0] for line in generate.block(page, f"{assignment.name} matrix").split("\n")[2:-1]]
    assert names == ["solution", "starter", *(mistake.name for mistake in assignment.mistakes)]


@pytest.mark.sandbox
@pytest.mark.tensorflow
@pytest.mark.usefixtures("sandbox")
@every_assignment
def test_matrix_is_as_proved(assignment: Assignment, request: pytest.FixtureRequest) -> None:
    """Quickly: the columns of long training checks, and with them the scores, are those of the last full run."""
    if assignment.runtime == "torch":
        request.getfixturevalue("need_torch")
    shown = generate.block(read(TABLES), f"{assignment.name} matrix").split("\n")[1:-1]
    proved = generate.proved_matrix(assignment, "--quick").split("\n")[1:-1]
    assert len(shown) == len(proved)
    points = [check.points for check in assignment.checks]
    start = shown[0].index("1")
    for told, real in zip(shown[1:], proved[1:], strict=True):
        signs, found = told[start : start + len(points)], real[start : start + len(points)]
        advice = "write it anew: .venv/bin/python docs/reference/generate.py"
        assert [a for a, b in zip(signs, found, strict=True) if b != " "] == [b for b in found if b != " "], advice
        if "not graded" not in told:
            assert float(told.split()[-1]) == sum(p for p, sign in zip(points, signs, strict=True) if sign == "."), told
