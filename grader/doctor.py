"""`grader doctor`: the sandbox's mode, every layer with evidence from outside, what is missing, what would give it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Line

from grader.errors import SandboxError, SandboxUnavailable
from grader.reports import Json
from grader.sandbox.limits import Mode, SandboxConfig
from grader.sandbox.modes import advise
from grader.sandbox.pool import Sandbox
from grader.sandbox.posture import NAMESPACES, Posture, read_posture
from grader.sandbox.selftest import Finding, self_test


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer of isolation. command: what gives it where it is missing."""

    name: str
    present: bool
    evidence: str
    command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What was found. refused: why the service would not grade here, if so."""

    machine: str
    mode: Mode
    layers: tuple[Layer, ...] = ()
    findings: tuple[Finding, ...] = ()
    missing: tuple[str, ...] = ()
    refused: str = ""
    runtimes: dict[str, str] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether other people's code may run here: mode A or B, every layer of it there, every probe held."""
        return self.mode in (Mode.A, Mode.B) and not self.refused and all(f.held for f in self.findings)

    def to_json(self) -> dict[str, Json]:
        return {
            "machine": self.machine,
            "mode": str(self.mode),
            "sound": self.sound,
            "refused": self.refused,
            "layers": [
                {"name": x.name, "present": x.present, "evidence": x.evidence, "command": x.command}
                for x in self.layers
            ],
            "self_test": [{"name": x.name, "held": x.held, "evidence": x.evidence} for x in self.findings],
            "missing": list(self.missing),
            "runtimes": dict(self.runtimes),
        }


def examine(config: SandboxConfig) -> Examination:
    """Starts the sandbox as the service would (in mode C too, to look at it) and examines a parked child."""
    uname = os.uname()
    machine = (
        f"{uname.sysname} {uname.release} {platform.machine()}, uid {os.geteuid()}, Python {platform.python_version()}"
    )
    refused = ""
    if sys.platform != "linux":
        return Examination(
            machine=machine, mode=Mode.D, refused="Grader needs Linux; run it in a Linux virtual machine."
        )
    try:
        with Sandbox(config) as sandbox:
            sandbox.start("numpy")
    except SandboxUnavailable as error:
        refused = str(error)
    except SandboxError as error:
        return Examination(machine=machine, mode=Mode.D, refused=str(error))
    with Sandbox(replace(config, allow_degraded=True, unsafe_own_code=True)) as sandbox:
        sandbox.start("numpy")
        assert sandbox.mode is not None
        versions = sandbox.versions("numpy")
        child = sandbox.take("numpy")
        try:
            layers = tuple(_layers(read_posture(child.pid), sandbox))
        except OSError as error:
            layers = (Layer(name="posture", present=False, evidence=f"the child cannot be looked at: {error}"),)
        finally:
            child.close()
        return Examination(
            machine=machine,
            mode=sandbox.mode,
            layers=layers,
            findings=tuple(self_test(sandbox)) if sandbox.mode is not Mode.D else (),
            missing=tuple(sandbox.missing),
            refused=refused,
            runtimes=versions,
        )


def _layers(posture: Posture, sandbox: Sandbox) -> Iterator[Layer]:
    reasons = "; ".join(sandbox.missing)
    advice = advise(reasons)
    for name in NAMESPACES:
        link = posture.threads[0].namespaces[name]
        own = os.readlink(f"/proc/self/ns/{name}")
        apart = posture.separate(name)
        yield Layer(
            name=f"{name} namespace",
            present=apart,
            evidence=f"{link}, ours {own}",
            command="" if apart else advice,
        )
        advice = advice if apart else ""  # once is enough
    status = posture.threads[0].status
    yield Layer(
        name="root of read-only binds",
        present=posture.separate("mnt") and set(posture.writable) <= {"/tmp"},
        evidence=f"{len(posture.mounts)} mounts, writable: {', '.join(sorted(set(posture.writable))[:5]) or 'none'}",
    )
    yield Layer(
        name="no new privileges",
        present=posture.everywhere("NoNewPrivs", "1"),
        evidence=f"NoNewPrivs {status['NoNewPrivs']}",
    )
    yield Layer(
        name="system call filter",
        present=posture.everywhere("Seccomp", "2"),
        evidence=f"Seccomp {status['Seccomp']} in {len(posture.threads)} threads",
    )
    zero = "0" * 16
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    yield Layer(
        name="no capabilities",
        # Without a user namespace an ordinary user cannot empty the bounding set, which no_new_privs makes void.
        present=all(posture.everywhere(name, zero) for name in sets if name != "CapBnd" or sandbox.mode is not Mode.C),
        evidence=", ".join(f"{name} {status[name].lstrip('0') or '0'}" for name in sets),
    )
    uid = status["Uid"].split()[0]
    apart = uid != str(os.geteuid())
    yield Layer(
        name="a user of its own",
        present=apart,
        evidence=f"uid {uid}, ours {os.geteuid()}",
        command="" if apart or os.geteuid() == 0 else "start the grader as root, which it gives up for children",
    )
    numbers = sorted(posture.descriptors)
    yield Layer(
        name="only the job's pipes open",
        present=numbers == [0, 1, 2, 3, 4],
        evidence=", ".join(f"{n} {posture.descriptors[n].partition(':')[0]}" for n in numbers),
    )
    abi = sandbox.zygote("numpy").landlock_abi
    yield Layer(
        name="Landlock",
        present=abi > 0,
        evidence=f"ABI {abi}" if abi else "not available or switched off",
        command="" if abi else 'add "landlock" to the kernel\'s lsm= parameter (Linux 5.13 or newer)',
    )
    grouped = sandbox.grouped
    yield Layer(
        name="control group with limits",
        present=grouped,
        evidence="memory, pids" if grouped else reasons,
        command=""
        if grouped
        else "systemd: Delegate=yes in the unit; by hand: systemd-run --user --scope -p Delegate=yes grader ...",
    )
    yield Layer(
        name="first to go when memory is short",
        present=posture.oom_score_adj == 1000,
        evidence=f"oom_score_adj {posture.oom_score_adj}",
    )


def render_findings(examination: Examination) -> RenderableType:
    """For a terminal of 80 columns."""
    out: list[RenderableType] = [Line(f"Mode {examination.mode}", style="bold"), Line(examination.machine)]
    if examination.refused:
        out.append(Line(examination.refused, style="bold red"))
    table = Table(box=box.SIMPLE_HEAD, width=80)
    table.add_column("layer", ratio=2)
    table.add_column("", width=7)
    table.add_column("evidence", ratio=3, overflow="fold")
    for layer in examination.layers:
        table.add_row(layer.name, "✓ yes" if layer.present else "✗ no", layer.evidence)
        if layer.command:
            table.add_row("", "", f"to have it: {layer.command}")
    out.append(table)
    held = sum(f.held for f in examination.findings)
    out.append(Line(f"Self-test: {held} of {len(examination.findings)} held", style="bold"))
    out += [Line(f"✗ {f.name}: {f.evidence}", style="red") for f in examination.findings if not f.held]
    if examination.sound:
        out.append(Line("Other people's code may be graded here."))
    return Group(*out)
