"""What the benchmarks calculate, and that every grader of the comparison is given the same work."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import measuring, peer_graders, planning
from benchmarks.planning import Arrivals, Inputs
from grader.assignments import load

DAY_S = 86400.0


def items() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peers_items", peer_graders.PARTS / "items.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Planning -----------------------------------------------------------------------------------------------------------


def test_one_server_waits_as_the_textbook_says() -> None:
    assert planning.erlang_c(1, 0.5) == pytest.approx(0.5)  # M/M/1: the probability of waiting is the utilisation
    assert planning.mean_wait_s(0.5, 1.0, 1) == pytest.approx(1.0)
    assert planning.erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert planning.mean_wait_s(2.0, 1.0, 2) == math.inf


def test_servers_are_as_many_as_keep_below_the_share() -> None:
    assert planning.servers_needed(7.0, 0.1, busy=0.7) == 1
    assert planning.servers_needed(7.1, 0.1, busy=0.7) == 2
    assert planning.utilisation(7.0, 0.1, 2) == pytest.approx(0.35)


def test_everybody_has_come_by_the_deadline() -> None:
    for window_s in (None, 3600.0):
        arriving = Arrivals(name="", uploads=1000, open_s=14 * DAY_S, window_s=window_s)
        assert arriving.share_in_last(14 * DAY_S) == pytest.approx(1.0)
        moment_s = 0.01
        assert 1000 * arriving.share_in_last(moment_s) / moment_s == pytest.approx(arriving.peak_rate, rel=1e-3)


@pytest.mark.parametrize("window_s", [None, 600.0])
def test_the_backlog_is_what_came_less_what_was_graded(window_s: float | None) -> None:
    """Against a simulation in small steps."""
    arriving = Arrivals(name="", uploads=100_000, open_s=14 * DAY_S, window_s=window_s)
    capacity = arriving.peak_rate / 4
    edges = np.concatenate([np.linspace(14 * DAY_S, 20_000, 5000), np.linspace(20_000, 0, 200_001)[1:]])
    came = -np.diff([100_000 * arriving.share_in_last(float(left)) for left in edges])
    waiting = 0.0
    for new, step_s in zip(came, -np.diff(edges), strict=True):
        waiting = max(0.0, waiting + float(new) - capacity * float(step_s))
    assert arriving.backlog(capacity) == pytest.approx(waiting, rel=1e-3)
    assert arriving.longest_wait_s(capacity) == pytest.approx(waiting / capacity, rel=1e-3)
    assert arriving.backlog(arriving.peak_rate) == 0


def test_a_plan_names_what_it_stands_on() -> None:
    one = Inputs(name="softmax", cpu_s=0.1, web_cpu_s=0.02, worker_mib=512, kib=1024)
    text = planning.plan([one], 6000, fleets=(1,))
    assert "6,000 students" in text
    assert "100 ms of CPU a grading" in text
    row = next(line for line in text.splitlines() if "| all in the last 10 minutes | 10.0 |" in line)
    assert "| 2 |" in row  # ten a second, a tenth of a second each, 70 % busy at most
    assert "| 1.0 GiB |" in row
    assert "| 30 |" in row
    assert "| 5.9 GiB |" in row


# Tables -------------------------------------------------------------------------------------------------------------


def test_only_what_stands_between_the_marks_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- peers -->\nold\n<!-- /peers -->\nafter\n")
    for _ in range(2):
        measuring.write_between(page, "peers", measuring.table(("a", "b"), [("1", "2")]))
    assert page.read_text() == "before\n<!-- peers -->\n| a | b |\n| --- | --- |\n| 1 | 2 |\n<!-- /peers -->\nafter\n"
    with pytest.raises(ValueError, match="needs one <!-- growth -->"):
        measuring.write_between(page, "growth", "")


def test_the_machine_is_described_without_its_name() -> None:
    assert Path("/proc/sys/kernel/hostname").read_text().strip() not in measuring.machine().split()


# Peers --------------------------------------------------------------------------------------------------------------


def test_answers_fit_the_items(tmp_path: Path) -> None:
    right, wrong = peer_graders.right_answers(), peer_graders.wrong_answers()
    assert items().ITEMS == peer_graders.ITEMS
    assert len(right) == 1 + len(peer_graders.ITEMS)
    changed = [item for item, a, b in zip(peer_graders.ITEMS, right[1:], wrong[1:], strict=True) if a != b]
    assert changed == list(peer_graders.WRONG)
    assignment = load(peer_graders.Ours._write(tmp_path / "six_items"))
    assert assignment.max_score == peer_graders.expected_points(right=True)
    assert [check.part for check in assignment.checks] == list(peer_graders.ITEMS)


class Relu:
    """With the gradient of what it forgets to multiply by."""

    slope_only = False

    def forward(self, x: Any) -> Any:
        self.positive = x > 0
        return np.maximum(x, 0)

    def backward(self, above: Any) -> Any:
        return self.positive * (1.0 if self.slope_only else above)


class SlopeOnly(Relu):
    slope_only = True


def test_an_item_fails_where_it_is_wrong() -> None:
    given, reference = items(), SimpleNamespace(Relu=Relu)
    given.compare("Relu", SimpleNamespace(Relu=Relu), reference, np.asarray, given.assert_close)
    with pytest.raises(AssertionError):
        given.compare("Relu", SimpleNamespace(Relu=SlopeOnly), reference, np.asarray, given.assert_close)


def test_versions_of_peers_are_pinned() -> None:
    lines = (peer_graders.PARTS / "requirements.txt").read_text().splitlines()
    assert all("==" in line and "/" not in line for line in lines)
    assert {"gradescope-utils", "nbgrader", "otter-grader"} <= {line.partition("==")[0] for line in lines}
