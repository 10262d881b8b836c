"""What several test modules share: a sandbox or a clear reason why there is none, and subjects without a sandbox."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from grader.assignments import Assignment, load_all
from grader.errors import SandboxError
from grader.grading import Engine
from grader.sandbox import wire
from grader.sandbox.child import CallError
from grader.sandbox.driver import Driver
from grader.sandbox.limits import SandboxConfig
from grader.sandbox.pool import Sandbox
from grader.subjects import Subject
from tests import databases

PROJECT = Path(__file__).resolve().parent.parent
RUNNER = PROJECT / ".venv-runner" / "bin" / "python"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database", default=databases.SQLITE, choices=[databases.SQLITE, databases.POSTGRESQL],
        help="Which database the service's tests use; postgresql: only tests that use a database.",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    databases.choose(config.getoption("--database"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL: what asks for `database`, itself or by its fixtures, without what is about SQLite."""
    if databases.chosen() == databases.SQLITE:
        return
    chosen = [item for item in items if _of_both(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen


def _of_both(item: pytest.Item) -> bool:
    return "database" in getattr(item, "fixturenames", ()) and item.get_closest_marker("sqlite") is None


@pytest.fixture(scope="session")
def database() -> str:
    """Which one this run uses. Every test or fixture that makes a service or a store of its own asks for it."""
    return databases.chosen()


def absent(reason: str) -> None:
    """Skips where something is missing, but not where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; with CI=true nothing may be skipped")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def need_torch() -> None:
    if not any((PROJECT / ".venv-runner").glob("lib*/python3*/site-packages/torch")):
        absent("the runner environment has no torch; run: make setup TORCH=1")


@pytest.fixture(scope="session")
def need_tensorflow() -> None:
    if not any((PROJECT / ".venv-runner").glob("lib*/python3*/site-packages/tensorflow")):
        absent("the runner environment has no tensorflow; run: make setup")


@pytest.fixture(scope="module")
def make_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Makes started sandboxes of any configuration; skips, or fails in CI, where this machine gives none."""
    made: list[Sandbox] = []

    def make(**options: Any) -> Sandbox:
        if not RUNNER.exists():
            absent("there is no .venv-runner; run: make setup")
        sandbox = Sandbox(SandboxConfig(runner_python=RUNNER, **options))
        try:
            sandbox.start("numpy")
        except SandboxError as error:
            sandbox.close()
            absent(f"no sandbox here: {error}")
        made.append(sandbox)
        return sandbox

    yield make
    for sandbox in made:
        sandbox.close()


@pytest.fixture(scope="module")
def sandbox(make_sandbox: Callable[..., Sandbox]) -> Sandbox:
    return make_sandbox()


@pytest.fixture(scope="module")
def engine(sandbox: Sandbox) -> Iterator[Engine]:
    made = Engine(sandbox, b"tests")
    yield made
    made.close()


@pytest.fixture(scope="session")
def assignments() -> dict[str, Assignment]:
    return load_all(PROJECT / "reference")


class InProcess:
    """A subject's channel that runs the child's driver in this process, over the real bytes of the protocol."""

    def __init__(self, program: Mapping[str, Any]) -> None:
        self.frames: list[list[list[Any]]] = []
        self.driver = Driver("numpy")
        self.driver.program = types.SimpleNamespace(**program)

    def send(self, steps: list[list[Any]]) -> None:
        self.frames.append(wire.decode(wire.encode(steps), wire.REQUEST_LIMITS))

    def receive(self) -> tuple[list[Any], frozenset[str]]:
        values: list[Any] = []
        for step in self.frames[-1]:
            try:
                values.append(wire.decode(wire.encode(self.driver.step(step))))
            except BaseException as error:
                raise CallError({**self.driver.failure(error), "values": values}) from error
        return values, frozenset(self.driver.used)


MakeSubject = Callable[..., tuple[Subject, InProcess]]


@pytest.fixture
def subject_of() -> MakeSubject:
    """subject_of(softmax=f, Matmul=C) -> (Subject, its channel). Methods of classes are known as methods."""

    def make(**program: Any) -> tuple[Subject, InProcess]:
        classes = {name: thing for name, thing in program.items() if isinstance(thing, type)}
        methods = {f"{name}.{key}" for name, c in classes.items() for key, v in vars(c).items() if callable(v)}
        channel = InProcess(program)
        return Subject(channel, classes=frozenset(classes), methods=frozenset(methods)), channel

    return make
