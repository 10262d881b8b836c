"""Every story of submissions/, graded in the real sandbox, is reported as its expected.toml says."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from grader.assignments import load_all
from grader.errors import RuntimeMissing, SandboxUnavailable
from grader.grading import Engine
from grader.reports import Json, Language, Report, Status
from grader.sandbox.pool import Sandbox
from grader.settings import Settings, read_settings
from grader.stories import ATTACKS, KINDS, SECRET, BadStory, Story, load, stories

ROOT = Path(__file__).resolve().parents[2] / "submissions"

# Grading --------------------------------------------------------------------------------------------------------


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
        engine = Engine(sandbox, SECRET.encode())
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


STORIES = stories(ROOT)
BY_ID = {story.id: story for story in STORIES}
HONEST = {
    "numpy_autodiff": "correct_compact",
    "tensorflow_basics": "correct_plain",
    "mnist_numpy": "correct_script",
    "mnist_tensorflow": "correct_notebook",
    "mnist_layers": "correct_bias_first_and_mean",
    "function_fit_numpy": "correct_bias_vectors",
    "function_fit_torch": "correct_sequential_with_tqdm",
}


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
        full = [s for s in STORIES if s.assignment == assignment and s.name.startswith("correct")]
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
