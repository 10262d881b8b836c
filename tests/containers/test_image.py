"""The image alone: what is in it, and which sandbox its workers have with exactly the options of the compose file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .engine import IMAGE, PROJECT, Engine
from .service import ASSIGNMENT

_PROFILE = "seccomp=deploy/seccomp/worker.json"
_WORKER = (
    "--rm", "--init", "--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges",
    "--pids-limit=1024", "--memory=8g", "--tmpfs=/tmp:size=64m,mode=1777,nosuid,nodev",
)  # fmt: skip


def test_it_is_nobody_and_knows_neither_an_index_nor_pip(engine: Engine) -> None:
    (image,) = json.loads(engine.docker("inspect", IMAGE))
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Healthcheck"]
    told = json.dumps(image["Config"]) + engine.docker("history", "--no-trunc", IMAGE)
    assert "PIP_FIND_LINKS" not in told
    assert "127.0.0.1:" not in told
    everything = "/opt/grader/.venv /opt/grader/.venv-runner /usr/local/bin/grader"
    found = engine.docker(
        "run", "--rm", "--entrypoint=find", IMAGE, *everything.split(), "-name", "pip*", "-maxdepth", "5"
    )
    assert [line for line in found.splitlines() if line.endswith("/pip")] == []


def test_a_worker_has_a_sound_sandbox(engine: Engine, settings: dict[str, str]) -> None:
    done = engine.compose(
        "run", "--rm", "--no-deps", "-T", "worker", "doctor", "--json", settings=settings, check=False
    )
    examined = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert examined["mode"] in ("A", "B")
    assert examined["sound"] is True
    assert [finding for finding in examined["self_test"] if not finding["held"]] == []


def test_the_profile_for_kubernetes_gives_the_same(engine: Engine) -> None:
    options = ["--security-opt=seccomp=deploy/seccomp/worker-oci.json", "--security-opt=apparmor=unconfined"]
    examined = json.loads(engine.docker("run", *_WORKER, *options, IMAGE, "doctor", "--json"))
    assert examined["mode"] in ("A", "B")


def test_without_the_profile_it_refuses_to_grade(engine: Engine) -> None:
    done = engine.run(["docker", "run", *_WORKER, IMAGE, "doctor", "--json"], check=False)
    assert done.returncode == 5, done.stdout + done.stderr
    assert json.loads(done.stdout)["mode"] == "C"


@pytest.mark.parametrize("call", ["unshare", "setns", "mount", "umount2", "pivot_root", "sethostname"])
def test_each_call_of_the_profile_is_needed(engine: Engine, tmp_path: Path, call: str) -> None:
    profile = json.loads((PROJECT / "deploy" / "seccomp" / "worker-oci.json").read_text())
    profile["syscalls"] = [rule for rule in profile["syscalls"] if rule["names"] != [call]]
    (tmp_path / "less.json").write_text(json.dumps(profile))
    options = [f"--security-opt=seccomp={tmp_path / 'less.json'}", "--security-opt=apparmor=unconfined"]
    done = engine.run(["docker", "run", *_WORKER, *options, IMAGE, "doctor", "--json"], check=False)
    assert json.loads(done.stdout)["mode"] == "C"


def test_a_file_is_graded_in_a_container_without_any_network(engine: Engine) -> None:
    story = PROJECT / "submissions" / ASSIGNMENT / "correct_script"
    options = [f"--security-opt={_PROFILE}", "--security-opt=apparmor=unconfined"]
    mounted = f"--mount=type=bind,source={story},target=/story,readonly"
    graded = engine.docker(
        "run", *_WORKER, *options, mounted, IMAGE, "grade", "/story/solution.py", "--assignment", ASSIGNMENT, "--json"
    )
    report = json.loads(graded)
    assert (report["score"], report["mode"] in ("A", "B")) == (100.0, True)


def test_compose_says_what_is_missing(engine: Engine, settings: dict[str, str]) -> None:
    for name in ("POSTGRES_PASSWORD", "GRADER_PUBLIC_URL"):
        done = engine.compose("config", settings={**settings, name: ""}, check=False)
        assert done.returncode != 0
        assert f"put {name} into .env" in done.stdout + done.stderr
