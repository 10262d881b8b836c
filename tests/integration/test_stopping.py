"""A service that is told to stop answers everybody who waits with what there is, at once and without an error."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from grader.errors import SandboxError
from grader.sandbox.pool import Sandbox

from .service import COURSE, SUMS, Kit, program


def test_who_waits_for_a_report_is_told_that_the_file_is_kept(kit: Kit) -> None:
    def submit() -> tuple[int, float]:
        began = time.monotonic()
        with kit.client("ada") as ada:
            answer = ada.post(
                f"/api/v1/courses/{COURSE}/assignments/{SUMS}/submissions",
                files={"file": ("a.py", program())},
                headers={"Prefer": "wait=30"},
            )
        return answer.status_code, time.monotonic() - began

    assert kit.url
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(submit)
        time.sleep(0.5)
        kit.service.bus.ended = True
        status, took = waiting.result(20)
    assert status == 202
    assert took < 10
    kit.grade()
    with kit.client("ada") as ada:
        assert ada.get("/api/v1/submissions/1").json()["state"] == "graded"


def test_a_stream_of_events_ends(kit: Kit) -> None:
    number = kit.hand_in("ada")

    def read() -> str:
        with kit.client("ada") as ada:
            return ada.get(f"/api/v1/submissions/{number}/events").text

    assert kit.url
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        time.sleep(0.5)
        kit.service.bus.ended = True
        assert "queued" in reading.result(20)


@pytest.mark.sandbox
def test_one_runtime_starts_while_another_is_slow(make_sandbox: Callable[..., Sandbox]) -> None:
    """Students of the NumPy sheet do not wait until TensorFlow is imported."""
    sandbox = make_sandbox(parked=1)
    slow = threading.Lock()
    sandbox._starting["tensorflow"] = slow
    with slow:
        thread = threading.Thread(target=start_anyway, args=(sandbox, "tensorflow"), daemon=True)
        thread.start()
        child = sandbox.take("numpy")
        child.close()
        assert thread.is_alive()
        closing = threading.Thread(target=sandbox.close)
        closing.start()
        time.sleep(0.2)
        assert closing.is_alive(), "what still starts is waited for"
    closing.join(60)
    thread.join(60)
    assert not closing.is_alive()
    with pytest.raises(SandboxError):
        sandbox.take("torch")


def start_anyway(sandbox: Sandbox, runtime: str) -> None:
    """Starts a runtime, or is told that the sandbox is closing, or that the runtime is not installed."""
    with contextlib.suppress(SandboxError):
        sandbox.start(runtime)
