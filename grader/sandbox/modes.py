"""Which mode of isolation this machine gives, and in words what is missing and what would give it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from grader.errors import SandboxError
from grader.sandbox.limits import Mode, SandboxConfig
from grader.sandbox.starting import LayerMissing
from grader.sandbox.zygotes import Zygote


def probe(config: SandboxConfig) -> tuple[Mode, list[str]]:
    """The best mode that the kernel gives here (A stands for A or B: cgroups are looked at later), and what is missing.

    Starts a NumPy zygote and one child for real: what counts is what works, not what /proc/sys says.
    """
    why: list[str] = []
    wanted = [mode for mode in (Mode.A, Mode.C) if mode >= config.mode or (config.mode is Mode.B and mode is Mode.A)]
    for mode in wanted:
        try:
            zygote = Zygote(config, "numpy", mode, None)
        except LayerMissing as error:
            why.append(str(error))
            continue
        try:
            zygote.spawn().close()
        except SandboxError as error:
            why.append(str(error))
            continue
        finally:
            zygote.close()
        if mode is Mode.C and zygote.uid == 0:
            why.append("students' code keeps root's user number, because only root can reach the interpreter")
        if zygote.landlock_abi == 0:
            why.append("Landlock is not available")
            if mode is Mode.C:
                continue
            return Mode.B, why
        return (Mode.B if config.mode is Mode.B else mode), why
    return Mode.D, why


def refusal(mode: Mode, why: Iterable[str]) -> str:
    """Why this machine may not grade, and the command that helps."""
    reasons = "; ".join(why) or f"mode {mode} was asked for"
    advice = advise(reasons)
    if mode is Mode.C:
        return (
            f"namespaces are refused here ({reasons}), so the sandbox would be mode C. {advice} "
            "In a dedicated container without secrets and network you may accept it: GRADER_ALLOW_DEGRADED=1"
        )
    return (
        f"this machine isolates nothing ({reasons}), so other people's code is not run. {advice} "
        "For your own code only: --unsafe-own-code"
    )


def advise(reasons: str) -> str:
    """The exact command for the most common causes."""
    restrict = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if restrict.exists() and restrict.read_text().strip() == "1":
        return "Run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    userns = Path("/proc/sys/kernel/unprivileged_userns_clone")
    if userns.exists() and userns.read_text().strip() == "0":
        return "Run: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    most = Path("/proc/sys/user/max_user_namespaces")
    if most.exists() and most.read_text().strip() == "0":
        return "Run: sudo sysctl -w user.max_user_namespaces=15000"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "Start the container with: --security-opt seccomp=deploy/seccomp/worker.json "
            "--security-opt apparmor=unconfined"
        )
    return "Grader needs Linux 5.13 or newer with user namespaces, seccomp and Landlock; see: grader doctor"
