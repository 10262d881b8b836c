"""Reports of real submissions, kept as JSON: what the store reads again is what was graded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grader.assignments import Assignment
from grader.grading import Engine
from grader.reports import Language, Report, ReportStatus, Status, from_record, to_record

pytestmark = pytest.mark.sandbox
SUBMISSIONS = Path(__file__).resolve().parents[2] / "submissions"
NUMPY = ("correct_notebook", "two_mistakes", "relu_in_place", "lying_array", "os_exit_zero", "untouched_starter")
TENSORFLOW = ("softmax_twice", "unstable", "uses_tf_nn_softmax", "output_flood", "not_json")
STORIES = [
    *(f"numpy_autodiff/{name}" for name in NUMPY),
    *(pytest.param(f"tensorflow_basics/{name}", marks=pytest.mark.tensorflow) for name in TENSORFLOW),
]


@pytest.fixture(params=STORIES)
def report(request: pytest.FixtureRequest, engine: Engine, assignments: dict[str, Assignment]) -> Report:
    name = request.param.partition("/")[0]
    if name == "tensorflow_basics":
        request.getfixturevalue("need_tensorflow")
    (file,) = (SUBMISSIONS / request.param).glob("solution.*")
    return engine.grade(assignments[name], file.name, file.read_bytes())


def test_a_real_report_comes_back_equal(report: Report) -> None:
    assert report.status is not ReportStatus.GRADER_ERROR
    back = from_record(json.loads(json.dumps(to_record(report), allow_nan=False)))
    assert back == report
    assert repr(back) == repr(report)
    languages: tuple[Language, ...] = ("en", "zh")
    for lang in languages:
        assert back.to_json(lang) == report.to_json(lang)


def test_a_failed_check_brings_its_values(engine: Engine, assignments: dict[str, Assignment]) -> None:
    numpy = assignments["numpy_autodiff"]
    wrong = next(m for m in numpy.mistakes if m.name == "matmul_grads_transposed")
    graded = engine.grade(numpy, "hw.py", numpy.mistaken_solution(wrong).encode())
    kept = [c for c in from_record(json.loads(json.dumps(to_record(graded)))).checks if c.status is Status.FAILED]
    assert any(c.got is not None and c.expected is not None and c.input is not None for c in kept)
    assert {c.mistake for c in kept} >= {wrong.name}
