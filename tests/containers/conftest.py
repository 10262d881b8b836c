"""The engine with its images, and the compose file running in it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator

import pytest

from .engine import IMAGE, POSTGRES, Engine, NoEngine
from .service import Service


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """With the image of the Dockerfile and one with PostgreSQL. Skips with the reason, or fails where all must run."""
    try:
        with Engine() as started:
            started.make_base()
            started.make_image()
            started.make_postgres()
            yield started
    except NoEngine as error:
        reason = f"no Docker engine here: {error}"
        if os.environ.get("CI") == "true" and os.environ.get("GRADER_TEST_CONTAINERS"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    """What .env would hold."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    return {
        "IMAGE": IMAGE,
        "POSTGRES_IMAGE": POSTGRES,
        "POSTGRES_PASSWORD": secrets.token_hex(16),
        "PORT": port,
        "GRADER_PUBLIC_URL": f"http://localhost:{port}",
    }


@pytest.fixture(scope="module")
def service(engine: Engine, settings: dict[str, str]) -> Iterator[Service]:
    """The compose file, up with two workers, ready, and with a course."""
    running = Service(engine, settings)
    try:
        engine.compose("up", "--detach", "--no-build", "--scale", "worker=2", settings=settings)
        running.wait_ready(workers=2)
        running.make_course()
        yield running
    except BaseException:
        print(engine.compose("logs", "--no-color", settings=settings, check=False).stdout[-8000:])
        raise
    finally:
        engine.compose("down", "--volumes", "--timeout", "5", settings=settings, check=False)
