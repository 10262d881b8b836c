"""Everything below deploy/, the Dockerfile and the compose file: well formed, never privileged, and about this program.

Kubernetes' own kinds are checked against Kubernetes' schemas. KEDA's kinds and the compose file are checked against the
models below, which know what is used here and refuse the rest. `docker-compose config` reads the compose file for real,
and a Docker engine runs it, in tests/containers.
"""

from __future__ import annotations

import configparser
import functools
import http.server
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import typer.main
import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from grader.cli import app
from grader.errors import StoreError, UsageError
from grader.sandbox.limits import SandboxConfig
from grader.settings import PROJECT, Settings

DEPLOY = PROJECT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
COMPOSE = PROJECT / "docker-compose.yml"
DOCKERFILE = PROJECT / "Dockerfile"
_TEXTS = [DOCKERFILE, COMPOSE, *MANIFESTS, *UNITS, *sorted((DEPLOY / "container").iterdir())]
_SETTINGS = {f"GRADER_{name.upper()}" for name in Settings.model_fields}
_KUBERNETES = "1.37"
_SLOTS = Settings.model_fields["slots"].default

every_text = pytest.mark.parametrize("path", [path for path in _TEXTS if path.is_file()], ids=lambda path: path.name)


def documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and kind, manifest) of every document."""
    for path in MANIFESTS:
        for document in yaml.safe_load_all(path.read_text()):
            yield f"{path.name} {document['kind']} {document['metadata']['name']}", document


DOCUMENTS = dict(documents())
PODS = {
    name: document["spec"]["template"]["spec"]
    for name, document in DOCUMENTS.items()
    if document["kind"] in ("Deployment", "Job")
}
every_pod = pytest.mark.parametrize("pod", PODS.values(), ids=list(PODS))


def script(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"deploy_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def known(arguments: list[str]) -> None:
    """Asserts that a command line of the program exists: the command, and each option, with its value."""
    command: Any = typer.main.get_command(app)
    words = list(arguments)
    while "commands" in vars(command):
        word = words.pop(0)
        assert word in command.commands, f"grader has no command {word!r}"
        command = command.commands[word]
    command.make_context("grader", words)


def names(text: str) -> set[str]:
    """The variables of Grader that a text names; a family written with an ellipsis is none."""
    return set(re.findall(r"\bGRADER_[A-Z_]*[A-Z]\b", text))


# What all of it promises -----------------------------------------------------------------------------------------


@every_text
def test_settings_exist_and_nothing_is_privileged(path: Path) -> None:
    text = path.read_text()
    assert names(text) <= _SETTINGS
    said = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(
        r"privileged:\s*true|--privileged|cap_add|seccomp[:=]\s*unconfined|SYS_ADMIN|hostPID|hostNet", said
    )


# The image -------------------------------------------------------------------------------------------------------


def test_the_image_is_nobodys_and_takes_only_what_is_let_in() -> None:
    last = DOCKERFILE.read_text().split("\nFROM ")[-1]
    users = re.findall(r"^USER (.+)$", last, re.MULTILINE)
    assert users[-1] == "10001:10001"
    assert re.search(r"^HEALTHCHECK ", last, re.MULTILINE)
    let_in = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert copied
    for source in " ".join(copied).split():
        assert (PROJECT / source).exists()
        parents = {source, *(parent.as_posix() for parent in Path(source).parents)}
        assert any(pattern in parents or Path(source).match(pattern) for pattern in let_in), source


def test_build_arguments_for_pip_stay_in_the_first_stages() -> None:
    stages = DOCKERFILE.read_text().split("\nFROM ")
    assert [at for at, stage in enumerate(stages) if "ARG PIP_" in stage] == [2]
    assert len(stages) == 4


class _Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/live" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_health_asks_the_service(status: int, healthy: bool) -> None:
    health = script(DEPLOY / "container" / "health.py")
    handler = type("Answer", (_Answer,), {"status": status})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert (health.answers(server.server_port) == "") is healthy
        finally:
            server.shutdown()
            thread.join()
    assert health.answers(server.server_port)  # now that nobody answers


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([(1, 0, "S", "worker"), (2, 1, "S", "")], ""),
        ([(1, 0, "S", "worker")], "the worker has no sandbox"),
        ([(1, 0, "S", "worker"), (2, 1, "Z", "")], "the worker has no sandbox"),
        ([(1, 0, "T", "worker"), (2, 1, "S", "")], "the worker is in state T"),
        ([(1, 0, "S", "doctor")], "neither grader serve nor grader worker runs here"),
    ],
)
def test_health_looks_at_a_worker(found: list[tuple[int, int, str, str]], said: str) -> None:
    health = script(DEPLOY / "container" / "health.py")
    processes = [(pid, parent, state, ["python", "-P", "-m", "grader", word]) for pid, parent, state, word in found]
    health.processes = lambda: iter(processes)
    assert health.main() == said


# Compose ---------------------------------------------------------------------------------------------------------


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Check(Strict):
    test: list[str] | None = None
    interval: str | None = None
    timeout: str | None = None
    start_period: str | None = None
    retries: int | None = None
    disable: bool | None = None


class Condition(Strict):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Replicas(Strict):
    replicas: Annotated[str, Field(pattern=r"^\$\{WORKERS:-\d+\}$")]  # a plain number would undo what somebody chose


class Rotated(Strict):
    options: dict[Literal["max-size", "max-file"], str]
    driver: Literal["json-file"]


_OPTION = r"^(no-new-privileges:true|seccomp=deploy/seccomp/worker\.json|apparmor=unconfined)$"


class ComposeService(Strict):
    image: str
    build: Literal["."] | None = None
    init: Literal[True]
    user: Annotated[str, Field(pattern=r"^[1-9]\d*:[1-9]\d*$")]
    read_only: Literal[True]
    cap_drop: list[Literal["ALL"]]
    security_opt: list[Annotated[str, Field(pattern=_OPTION)]]
    mem_limit: str
    memswap_limit: str | None = None
    pids_limit: Annotated[int, Field(gt=0)]
    logging: Rotated
    shm_size: str | None = None
    tmpfs: list[str]
    restart: Literal["no", "unless-stopped"]
    environment: dict[str, str]
    networks: list[Literal["front", "database"]]
    command: list[str] | None = None
    ports: list[Annotated[str, Field(pattern=r"^127\.0\.0\.1:")]] = []
    volumes: list[str] = []
    stop_grace_period: str | None = None
    healthcheck: Check | None = None
    depends_on: dict[str, Condition] = {}
    deploy: Replicas | None = None


class Network(Strict):
    internal: bool = False


class Compose(Strict):
    services: dict[str, ComposeService]
    networks: dict[str, Network]
    volumes: dict[str, Mapping[str, str]]


@functools.cache
def compose() -> Compose:
    read = yaml.safe_load(COMPOSE.read_text())
    return Compose.model_validate({name: value for name, value in read.items() if not name.startswith("x-")})


def test_the_compose_file_is_confined() -> None:
    services = compose().services
    assert set(services) == {"postgres", "migrate", "web", "worker"}
    for service in services.values():
        assert "no-new-privileges:true" in service.security_opt
        assert service.cap_drop == ["ALL"]
    assert [name for name, service in services.items() if len(service.security_opt) > 1] == ["worker"]
    assert services["worker"].networks == services["migrate"].networks == services["postgres"].networks == ["database"]
    assert compose().networks["database"].internal
    assert [name for name, service in services.items() if service.ports] == ["web"]


def test_the_compose_file_starts_in_order_and_says_what_is_missing() -> None:
    services = compose().services
    assert services["migrate"].depends_on["postgres"].condition == "service_healthy"
    for name in ("web", "worker"):
        assert services[name].depends_on["migrate"].condition == "service_completed_successfully"
    for name in ("migrate", "web", "worker"):
        known(services[name].command or [])
        assert "${POSTGRES_PASSWORD:?" in services[name].environment["GRADER_DATABASE_URL"]
    assert services["web"].environment["GRADER_SLOTS"] == "0"
    assert services["worker"].environment["GRADER_SLOTS"] == f"${{GRADER_SLOTS:-{_SLOTS}}}"
    assert "${GRADER_PUBLIC_URL:?" in services["web"].environment["GRADER_PUBLIC_URL"]


# Kubernetes ------------------------------------------------------------------------------------------------------


class Metadata(Strict):
    name: str
    namespace: Literal["grader"]


class Target(Strict):
    name: str


class Query(Strict):
    query: str
    targetQueryValue: str


class Trigger(Strict):
    type: Literal["postgresql"]
    metadata: Query
    authenticationRef: Target


class Scaled(Strict):
    scaleTargetRef: Target
    minReplicaCount: Annotated[int, Field(ge=1)]
    maxReplicaCount: int
    pollingInterval: int
    cooldownPeriod: int
    triggers: list[Trigger]


class SecretTarget(Strict):
    parameter: Literal["connection"]
    name: str
    key: str


class Authentication(Strict):
    secretTargetRef: list[SecretTarget]


class ScaledObject(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: Scaled


class TriggerAuthentication(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]
    kind: Literal["TriggerAuthentication"]
    metadata: Metadata
    spec: Authentication


_KEDA: TypeAdapter[ScaledObject | TriggerAuthentication] = TypeAdapter(
    Annotated[ScaledObject | TriggerAuthentication, Field(discriminator="kind")]
)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=list(DOCUMENTS))
def test_manifests_keep_their_schema(document: dict[str, Any]) -> None:
    if document["apiVersion"].startswith("keda.sh/"):
        _KEDA.validate_python(document)
    else:
        kubernetes_validate.validate(document, _KUBERNETES, strict=True)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "grader"


@every_pod
def test_pods_are_confined(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"]
    known(container["args"])
    plain = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    assert "GRADER_DATABASE_URL" in plain
    assert plain["GRADER_DATABASE_URL"] == ""  # only ever from a secret


def test_workers_of_kubernetes_have_what_the_sandbox_needs_and_time_to_end() -> None:
    pod = PODS["worker.yaml Deployment worker"]
    assert pod["hostUsers"] is False
    assert pod["securityContext"]["seccompProfile"] == {
        "type": "Localhost", "localhostProfile": "grader/worker-oci.json",
    }  # fmt: skip
    assert pod["terminationGracePeriodSeconds"] > 2 * SandboxConfig(runner_python=Path()).cpu_s
    assert "replicas" not in DOCUMENTS["worker.yaml Deployment worker"]["spec"]


def test_slots_are_the_workers_and_web_has_none() -> None:
    assert DOCUMENTS["config.yaml ConfigMap grader"]["data"]["GRADER_SLOTS"] == str(_SLOTS)
    (web,) = PODS["web.yaml Deployment web"]["containers"]  # where `env` wins over `envFrom`
    assert {"name": "GRADER_SLOTS", "value": "0"} in web["env"]
    (worker,) = PODS["worker.yaml Deployment worker"]["containers"]
    assert worker["args"] == ["worker"]
    assert "GRADER_SLOTS" not in {variable["name"] for variable in worker["env"]}


def test_ports_that_are_let_in_are_listened_at() -> None:
    ports: dict[str, set[int]] = {}
    for name, document in DOCUMENTS.items():
        if "NetworkPolicy" in name and (part := document["spec"]["podSelector"].get("matchLabels", {}).get("part")):
            let_in = (port["port"] for rule in document["spec"]["ingress"] for port in rule["ports"])
            ports.setdefault(part, set()).update(let_in)
    assert ports == {part: {_port(part)} for part in ("web", "worker")}


def _port(part: str) -> int:
    (container,) = PODS[f"{part}.yaml Deployment {part}"]["containers"]
    (port,) = container["ports"]
    plain = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert str(port["containerPort"]) == plain["GRADER_PORT" if part == "web" else "GRADER_METRICS_PORT"]
    return int(port["containerPort"])


def test_what_manifests_refer_to_is_there() -> None:
    secret = set(DOCUMENTS["secret.example.yaml Secret grader"]["stringData"])
    for text in (path.read_text() for path in MANIFESTS):
        assert set(re.findall(r"\bkey: (\w+)", text)) <= secret
    query = DOCUMENTS["worker-keda.yaml ScaledObject worker"]["spec"]["triggers"][0]["metadata"]["query"]
    from grader.store.models import Job
    from grader.store.states import JobState

    assert f"FROM {Job.__tablename__} WHERE state IN" in query
    assert set(re.findall(r"'(\w+)'", query)) <= {str(state) for state in JobState}


# seccomp ---------------------------------------------------------------------------------------------------------


def allowed(profile: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """{system call: its rules that allow it}, those for capabilities and other machines aside."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rule in profile["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW" and not (rule.get("includes") or {}).get("caps"):
            for name in rule["names"]:
                found.setdefault(name, []).append(rule)
    return found


def test_profiles_are_what_the_script_writes() -> None:
    done = subprocess.run([sys.executable, DEPLOY / "seccomp" / "make.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["worker.json", "worker-oci.json"])
def test_a_profile_adds_six_calls_and_no_namespace_to_clone(name: str) -> None:
    default = allowed(json.loads((DEPLOY / "seccomp" / "docker-default.json").read_text()))
    profile = json.loads((DEPLOY / "seccomp" / name).read_text())
    found = allowed(profile)
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert set(found) - set(default) == {"unshare", "setns", "mount", "umount2", "pivot_root", "sethostname"}
    assert not {"bpf", "keyctl", "io_uring_setup", "userfaultfd", "kexec_load", "init_module"} & set(found)
    for rule in found["clone"]:
        assert [(a["value"], a["op"]) for a in rule["args"]] == [(0x7E020000, "SCMP_CMP_MASKED_EQ")]
    for call in ("unshare", "setns", "umount2", "socket"):
        assert all(rule["args"] for rule in found[call])


def test_the_profile_of_kubernetes_has_no_conditions_to_overlook() -> None:
    profile = json.loads((DEPLOY / "seccomp" / "worker-oci.json").read_text())
    assert {key for rule in profile["syscalls"] for key in rule} <= {"names", "action", "args", "errnoRet"}
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]


# systemd ---------------------------------------------------------------------------------------------------------


def unit(path: Path) -> dict[str, dict[str, str]]:
    """{section: {directive: value}}, of repeated ones the last."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of directives keep their case
    parser.read(path)
    return {name: dict(parser[name]) for name in parser.sections()}


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_run_commands_that_exist_as_a_user(path: Path) -> None:
    service = unit(path)["Service"]
    command = service["ExecStart"].removeprefix("/usr/bin/env GRADER_SLOTS=0 ").split()
    assert command[0] == "/opt/grader/.venv/bin/grader"
    known(command[1:])
    assert service["User"] == "grader"
    assert service["NoNewPrivileges"] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["ProtectSystem"] == "strict"


def test_slots_of_the_units_are_the_workers() -> None:
    """EnvironmentFile= overrides Environment=, so web's 0 must be in its command."""
    web, worker = (unit(DEPLOY / "systemd" / f"grader-{name}.service")["Service"] for name in ("web", "worker@"))
    assert web["ExecStart"].startswith("/usr/bin/env GRADER_SLOTS=0 ")
    assert web["RestrictNamespaces"] == "yes"
    assert worker["ExecStart"] == "/opt/grader/.venv/bin/grader worker"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_survive_a_database_that_is_late(path: Path) -> None:
    found = unit(path)
    assert "Requires" not in found["Unit"]
    assert found["Unit"]["StartLimitIntervalSec"] == "0"
    if path.stem == "grader-migrate":
        assert found["Service"]["Restart"] == "on-failure"
        ends = found["Service"]["RestartPreventExitStatus"].split()
        assert str(StoreError.exit_code) in ends
        assert str(UsageError.exit_code) not in ends  # no connection
    else:
        assert found["Service"]["Restart"] == "always"
        assert "is-active --quiet grader-migrate.service" in found["Service"]["ExecStartPre"]


def test_the_workers_unit_keeps_what_the_sandbox_is_made_of() -> None:
    service = unit(DEPLOY / "systemd" / "grader-worker@.service")["Service"]
    assert service["Delegate"] == "yes"
    assert service["KillMode"] == "mixed"
    taking = {"RestrictNamespaces", "PrivateUsers", "SystemCallFilter", "ProtectHostname", "ProtectControlGroups"}
    assert not {*taking, "MemoryDenyWriteExecute"} & set(service)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    for path in UNITS:  # where the program is, is looked at too
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/grader/.venv/bin/grader", sys.executable))
    files = [str(tmp_path / path.name.replace("@", "@1")) for path in UNITS]
    for name in (path.name for path in UNITS if "@" in path.name):
        (tmp_path / name.replace("@", "@1")).symlink_to(tmp_path / name)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
