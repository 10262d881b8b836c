"""docker-compose.yml as it is, with PostgreSQL: what is uploaded through one container is graded in another."""

from __future__ import annotations

import json
import time

from .engine import Engine
from .service import STORY, STUDENTS, Service

# Tries what students' code must not reach, then tells it by raising: the message stands in the report.
_PROBE = """
def _tried():
    found = []
    for host, port in (("postgres", 5432), ("127.0.0.1", 5432), ("web", 8000)):
        try:
            import socket
            socket.create_connection((host, port), timeout=2)
            found.append(f"reached {host}")
        except BaseException as error:
            found.append(f"{host} {type(error).__name__}")
    import os
    if any("POSTGRES" in name or "DATABASE" in name for name in os.environ):
        found.append("reached the environment")
    try:
        found.append(f"reached {len(open('/proc/1/environ').read())} bytes")
    except BaseException as error:
        found.append(f"environ {type(error).__name__}")
    raise RuntimeError("tried: " + ", ".join(found))
"""


def _graded_alike(service: Service, login: str, submission: int) -> None:
    assert service.verdict(login, submission)["state"] == "graded"
    report = service.report(login, submission)
    assert report["score"] == 100.0
    assert report["mode"] in ("A", "B")


def test_an_upload_is_graded_by_a_worker_container(service: Service) -> None:
    _graded_alike(service, STUDENTS[0], service.hand_in(STUDENTS[0], STORY.read_bytes()))


def test_every_container_is_healthy_and_confined(service: Service, engine: Engine) -> None:
    for name in ("web", "worker", "postgres"):
        for container in service.containers(name):
            deadline = time.monotonic() + 60
            while (found := json.loads(engine.docker("inspect", container))[0])["State"]["Health"][
                "Status"
            ] != "healthy":
                assert time.monotonic() < deadline, found["State"]["Health"]
                time.sleep(0.5)
            host = found["HostConfig"]
            assert host["ReadonlyRootfs"]
            assert not host["Privileged"]
            assert host["CapDrop"] == ["ALL"]
            assert not host["CapAdd"]
            assert host["Memory"] > 0
            assert host["PidsLimit"] > 0
            assert host["LogConfig"]["Config"]["max-size"]
            assert service.execute(container, "id", "-u").strip() not in ("", "0")


def _frozen_at_work(service: Service, engine: Engine) -> tuple[str, list[str]]:
    """A worker's container, paused in the midst of gradings, and the submissions that it has."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for container in service.containers("worker"):
            engine.docker("pause", container)
            sql = f"select submission_id from jobs where state = 'running' and worker like '{container[:12]}/%'"
            if found := [row[0] for row in service.query(sql)]:
                return container, found
            engine.docker("unpause", container)
    raise AssertionError("no worker took anything")


def test_a_killed_worker_loses_nothing(service: Service, engine: Engine) -> None:
    # Each a little different, for the same file again would be answered with the report that is there.
    files = [(login, STORY.read_bytes() + f"# {number}\n".encode()) for number in range(3) for login in STUDENTS]
    handed_in = [(login, service.hand_in(login, source)) for login, source in files]
    container, interrupted = _frozen_at_work(service, engine)
    engine.docker("kill", "--signal", "KILL", container)
    for login, submission in handed_in:
        _graded_alike(service, login, submission)
    (state,) = json.loads(engine.docker("inspect", container))
    assert (state["State"]["Running"], state["State"]["ExitCode"]) == (False, 137)
    reports = service.query("select submission_id, count(*) from reports group by submission_id")
    assert {count for _, count in reports} == {"1"}
    assert {str(submission) for _, submission in handed_in} <= {submission for submission, _ in reports}
    again = service.query("select submission_id from jobs where attempts > 1")
    assert set(interrupted) <= {row[0] for row in again}


def test_students_code_cannot_reach_the_database(service: Service, engine: Engine) -> None:
    living = engine.docker("ps", "--quiet", "--filter", "name=worker").split()
    reach = "import socket; socket.create_connection(('postgres', 5432), 5); print('reached')"
    assert service.execute(living[0], "/opt/grader/.venv/bin/python", "-c", reach) == "reached\n"
    body = "return np.where(x > 0, x, np.zeros_like(x))"
    source = STORY.read_text()
    assert body in source
    submission = service.hand_in(STUDENTS[1], (source.replace(body, "_tried()") + _PROBE).encode())
    assert service.verdict(STUDENTS[1], submission)["state"] == "graded"
    told = json.dumps(service.report(STUDENTS[1], submission))
    assert "tried: postgres " in told
    assert "environ " in told
    assert "reached" not in told.partition("tried: ")[2].partition('"')[0]
