"""Every story of submissions/, graded in the real sandbox, is reported as its expected.toml says.

A story is a folder with the file somebody handed in and `expected.toml`: what a truthful, helpful report says. Its
keys are read here and nowhere else:

    about      one sentence: what this student did
    kind       one of KINDS
    file       name of the file handed in
    status     "graded" or "not_gradable"
    score      points in total; [parts] has those of every part
    mistakes   names of exactly the known mistakes that the report names, none by default
    message    fragments, each of which is in some message or note of the report
    zh         the same for the Chinese report
    never      fragments that are in no message or note
    [statuses] status of single checks
    [named]    the mistake named at single checks
"""

from __future__ import annotations

import json
import os
import threading
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from grader.assignments import load_all
from grader.errors import RuntimeMissing, SandboxUnavailable
from grader.grading import Engine
from grader.reports import Json, Language, Report, ReportStatus, Status
from grader.sandbox.pool import Sandbox
from grader.settings import Settings, read_settings

ROOT = Path(__file__).resolve().parents[2] / "submissions"
ATTACKS = frozenset(
    {"hang", "memory", "fork", "network", "files", "forged", "exit", "patched", "flood", "searches", "crash"}
)
KINDS = ATTACKS | {
    "correct", "half_correct", "starter", "unstable", "mistake", "typo", "global_leak", "not_json", "stub_above",
    "magics", "top_level_training", "environment", "precision", "banned", "misunderstood",
}  # fmt: skip


class BadStory(Exception):
    """A story's expected.toml is not what `load` reads."""


@dataclass(frozen=True, kw_only=True)
class Story:
    assignment: str
    name: str
    folder: Path
    about: str
    kind: str
    file: str
    status: ReportStatus
    score: float
    parts: Mapping[str, float]
    mistakes: frozenset[str] = frozenset()
    message: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    statuses: Mapping[str, Status]
    named: Mapping[str, str]

    @property
    def id(self) -> str:
        return f"{self.assignment}/{self.name}"

    @property
    def data(self) -> bytes:
        return (self.folder / self.file).read_bytes()

    def differences(self, report: Report) -> list[str]:
        """Where the report is not what the story expects; empty when all is well."""
        found: list[str] = []

        def same(what: str, got: object, expected: object) -> None:
            if got != expected:
                found.append(f"{what}: got {got!r}, expected {expected!r}")

        checks = {check.id: check for check in report.checks}
        same("status", report.status, self.status)
        same("score", report.score, self.score)
        same("parts", {part.name: part.score for part in report.parts}, dict(self.parts))
        for check, status in self.statuses.items():
            same(f"status of {check}", checks[check].status if check in checks else None, status)
        for check, mistake in self.named.items():
            same(f"mistake at {check}", checks[check].mistake if check in checks else None, mistake)
        same("mistakes", {check.mistake for check in report.checks} - {None}, set(self.mistakes))
        said = [*report.notes, *(check.message for check in report.checks if check.message)]
        found += [f"nothing says {part!r}" for part in self.message if not any(part in text.en for text in said)]
        found += [f"nothing says {part!r}" for part in self.zh if not any(part in text.zh for text in said)]
        found += [f"something says {part!r}" for part in self.never if any(part in text.en for text in said)]
        return found


def stories() -> list[Story]:
    """All stories, by assignment and name. Raises BadStory."""
    return [load(folder) for folder in folders()]


def folders() -> list[Path]:
    return sorted(folder for group in ROOT.iterdir() for folder in group.iterdir())


def load(folder: Path) -> Story:
    """The story in a folder. Raises BadStory naming the file and the key that is wrong."""
    path = folder / "expected.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadStory(f"{path}: {error}") from error
    take = _Table(path, table)
    story = Story(
        assignment=folder.parent.name,
        name=folder.name,
        folder=folder,
        about=take.text("about"),
        kind=take.one_of("kind", KINDS),
        file=take.text("file"),
        status=ReportStatus(take.one_of("status", ("graded", "not_gradable"))),
        score=take.number("score"),
        parts=take.numbers("parts"),
        mistakes=frozenset(take.texts("mistakes")),
        message=take.texts("message"),
        zh=take.texts("zh"),
        never=take.texts("never"),
        statuses={check: Status(status) for check, status in take.each_one_of("statuses", list(Status)).items()},
        named=take.table("named"),
    )
    take.finish()
    if sum(story.parts.values()) != story.score:
        raise BadStory(f"{path}: parts: they do not add up to the score")
    return story


class _Table:
    """A TOML table whose every key is read once and has its type."""

    def __init__(self, path: Path, table: Mapping[str, Any]) -> None:
        self._path, self._table, self._read = path, table, set[str]()

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise BadStory(f"{self._path}: {key}: a text is needed")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key, [])
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(v, str) and v for v in value)
        ):
            raise BadStory(f"{self._path}: {key}: a list of texts is needed")
        return tuple(value)

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise BadStory(f"{self._path}: {key}: a table is needed")
        return value

    def number(self, key: str) -> float:
        return self._number(key, self._get(key))

    def numbers(self, key: str) -> dict[str, float]:
        return {name: self._number(name, value) for name, value in self.table(key).items()}

    def one_of(self, key: str, allowed: Iterable[str]) -> str:
        return self._one_of(key, self.text(key), allowed)

    def each_one_of(self, key: str, allowed: Iterable[str]) -> dict[str, str]:
        return {name: self._one_of(name, value, allowed) for name, value in self.table(key).items()}

    def finish(self) -> None:
        unknown = self._table.keys() - self._read
        if unknown:
            raise BadStory(f"{self._path}: unknown keys: {', '.join(sorted(unknown))}")

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadStory(f"{self._path}: {key}: a number is needed")
        return float(value)

    def _one_of(self, key: str, value: Any, allowed: Iterable[str]) -> str:
        if value not in allowed:
            raise BadStory(f"{self._path}: {key}: {value!r} is none of {', '.join(sorted(allowed))}")
        return str(value)

    def _get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        return self._table.get(key, default)


# Grading --------------------------------------------------------------------------------------------------------

SECRET = b"acceptance"  # fixed, so that a story meets the same inputs on every machine


@dataclass
class Bench:
    """The engine that all tests here share. Runtimes start when the first story needs them."""

    engine: Engine
    settings: Settings
    _absent: dict[str, str | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.assignments = load_all(self.settings.reference_dir)

    def grade(self, story: Story) -> Report:
        self.need(story.assignment)
        return self.engine.grade(self.assignments[story.assignment], story.file, story.data)

    def need(self, name: str) -> None:
        """Skips, or on CI fails, where this machine cannot run an assignment."""
        assignment = self.assignments[name]
        with self._lock:
            if assignment.runtime not in self._absent:
                self._absent[assignment.runtime] = self._start(name)
            absent = self._absent[assignment.runtime]
        if absent is not None:
            unavailable(absent)

    def _start(self, name: str) -> str | None:
        assignment = self.assignments[name]
        absent = self.settings.absent_runtime(assignment.runtime)
        if absent is not None:
            return absent
        try:
            self.engine.warm_up(assignment)
        except (SandboxUnavailable, RuntimeMissing) as error:
            return str(error)
        return None


def unavailable(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must be able to grade: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    settings = read_settings()
    with Sandbox(settings.sandbox()) as sandbox:
        engine = Engine(sandbox, SECRET)
        try:
            yield Bench(engine, settings)
        finally:
            engine.close()


def readable(report: Report, lang: Language = "en") -> str:
    """The report's JSON without the times."""
    tree: Json = report.to_json(lang)
    del tree["timings_ms"]
    for check in tree["checks"]:
        del check["wall_ms"]
    return json.dumps(tree, ensure_ascii=False, indent=1)


STORIES = stories()
BY_ID = {story.id: story for story in STORIES}
HONEST = {"numpy_autodiff": "correct_compact", "tensorflow_basics": "correct_plain"}


def honest(story: Story) -> Story:
    return BY_ID[f"{story.assignment}/{HONEST[story.assignment]}"]


def params(kinds: frozenset[str]) -> list[Any]:
    return [pytest.param(story, id=story.id) for story in STORIES if story.kind in kinds]


@pytest.mark.sandbox
@pytest.mark.parametrize("story", params(KINDS))
def test_a_story_is_reported_as_expected(bench: Bench, story: Story) -> None:
    differences = story.differences(bench.grade(story))
    assert not differences, f"{story.about}\n" + "\n".join(differences)


@pytest.mark.sandbox
@pytest.mark.parametrize(
    "name",
    [
        "numpy_autodiff/shared_state",
        "numpy_autodiff/two_mistakes",
        "tensorflow_basics/correct_notebook",
        "tensorflow_basics/prints_a_score",
        "tensorflow_basics/unstable",
    ],
)
def test_the_same_file_gives_the_same_report(bench: Bench, name: str) -> None:
    first, second = bench.grade(BY_ID[name]), bench.grade(BY_ID[name])
    assert readable(first) == readable(second)
    assert readable(first, "zh") == readable(second, "zh")


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["numpy_autodiff/hang_in_relu_backward", "tensorflow_basics/hang_in_sigmoid_ce"])
def test_a_hang_in_one_check_leaves_all_others_their_points(bench: Bench, name: str) -> None:
    story = BY_ID[name]
    report = bench.grade(story)
    hung = [check.id for check in report.checks if check.status is Status.FAILED]
    needs = {check.id: check.requires for check in bench.assignments[story.assignment].checks}
    assert len(hung) == 1
    for check in report.checks:
        if hung[0] in needs[check.id]:
            assert check.status is Status.NOT_REACHED
        elif check.id not in hung:
            assert check.points == check.max_points
    assert bench.grade(honest(story)).score == 100


@pytest.mark.sandbox
@pytest.mark.parametrize("assignment", sorted({story.assignment for story in STORIES}))
def test_an_honest_student_right_after_an_attack_gets_full_marks(bench: Bench, assignment: str) -> None:
    attacks = [s for s in STORIES if s.assignment == assignment and s.kind in ATTACKS - {"hang"}]
    bench.need(assignment)
    spoiled = []
    for story in attacks:
        bench.grade(story)
        if bench.grade(honest(story)).score != 100:
            spoiled.append(story.id)
    assert attacks
    assert not spoiled


@pytest.mark.sandbox
def test_two_gradings_at_once_give_what_each_gives_alone(bench: Bench) -> None:
    names = [
        "numpy_autodiff/correct_compact",
        "tensorflow_basics/correct_plain",
        "numpy_autodiff/two_mistakes",
        "tensorflow_basics/patches_the_comparison",
        "numpy_autodiff/os_exit_zero",
        "tensorflow_basics/unstable",
        "tensorflow_basics/exits_with_zero",
        "tensorflow_basics/correct_notebook",
    ]
    several = [BY_ID[name] for name in names]
    alone = [readable(bench.grade(story)) for story in several]
    with ThreadPoolExecutor(max_workers=2) as pool:
        together = [readable(report) for report in pool.map(bench.grade, several)]
    assert together == alone


# The stories themselves: no sandbox needed ------------------------------------------------------------------------


def test_there_is_a_story_of_every_kind() -> None:
    assert len(STORIES) >= 30
    assert {story.kind for story in STORIES} == KINDS
    for assignment in {story.assignment for story in STORIES}:
        full = [s for s in STORIES if s.assignment == assignment and s.kind == "correct"]
        assert len(full) >= 3
        assert all(s.score == 100 for s in full)
        named = {name for s in STORIES if s.assignment == assignment for name in s.mistakes}
        assert len(named) >= 4


def test_a_story_folder_holds_the_file_and_what_is_expected() -> None:
    for story in STORIES:
        assert {path.name for path in story.folder.iterdir()} == {"expected.toml", story.file}
        assert story.about.endswith(".")


def test_what_is_expected_exists_in_the_assignment() -> None:
    assignments = load_all(read_settings().reference_dir)
    for story in STORIES:
        assignment = assignments[story.assignment]
        known = {mistake.name for mistake in assignment.mistakes}
        checks = {check.id for check in assignment.checks}
        assert story.mistakes <= known, story.id
        assert set(story.named.values()) <= story.mistakes, story.id
        assert set(story.statuses) | set(story.named) <= checks, story.id
        assert set(story.parts) == {part.name for part in assignment.parts}, story.id


def test_notebooks_are_json_unless_the_story_is_that_they_are_not() -> None:
    for story in STORIES:
        if story.file.endswith(".ipynb") and story.kind != "not_json":
            assert json.loads(story.data)["nbformat"] == 4, story.id


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("about =", "socre = 100\nabout =", "unknown keys: socre"),
        ("kind =", "knd =", "kind: a text is needed"),
        ("score = 100", "score = 99", "parts: they do not add up"),
        ("score = 100", "score = true", "score: a number is needed"),
        ('"graded"', '"passed"', "status: 'passed' is none of"),
    ],
)
def test_an_expected_toml_with_a_slip_is_refused(tmp_path: Path, right: str, wrong: str, complaint: str) -> None:
    text = (ROOT / "numpy_autodiff" / "correct_compact" / "expected.toml").read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "expected.toml").write_text(text.replace(right, wrong), encoding="utf-8")
    with pytest.raises(BadStory, match=complaint):
        load(tmp_path)
