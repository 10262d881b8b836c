"""Writes worker.json and worker-oci.json beside this script: Docker's default profile and what the sandbox needs more.

    python deploy/seccomp/make.py           write both
    python deploy/seccomp/make.py --check   exit code 1 when they are not what this script would write

docker-default.json is the default profile as Docker wrote it; see README.md for its source and licence.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Profile = dict[str, Any]
Rule = dict[str, Any]

NEWNS, NEWUTS, NEWIPC = 0x00020000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
_USED = NEWNS | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_ALL_32 = 0xFFFFFFFF
_MNT_DETACH = 2
_AF_ALG, _AF_VSOCK = 38, 40

# Allowed by Docker's default, needed by nothing here, and each the way out of some sandbox before.
TAKEN_AWAY = ("io_uring_setup", "io_uring_enter", "io_uring_register")
_MACHINES = ("amd64", "arm64")


def allow(comment: str, name: str, *arguments: Rule) -> Rule:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": list(arguments), "comment": comment}


def masked(index: int, mask: int, value: int) -> Rule:
    return {"index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def compared(index: int, how: str, value: int) -> Rule:
    return {"index": index, "value": value, "op": f"SCMP_CMP_{how}"}


# Read off grader/sandbox/jail.py. `clone` stays as Docker has it, without any namespace: the sandbox calls unshare and
# then forks.
ADDED = [
    allow("namespaces of the jail: user, pid, mnt, net, ipc, uts; never cgroup or time", "unshare",
          masked(0, _ALL_32 & ~_USED, 0)),
    allow("back into the zygote's own pid namespace after a fork; no other kind", "setns", masked(1, _ALL_32, NEWPID)),
    allow("the jail's root: tmpfs and read-only binds, in a mount namespace of its own", "mount"),
    allow("the old root leaves the jail, lazily; no other flags", "umount2", masked(1, _ALL_32, _MNT_DETACH)),
    allow("the jail's root becomes the only tree", "pivot_root"),
    allow("every child has the same host name", "sethostname"),
]  # fmt: skip
# Two conditions on one argument are alternatives, so "neither of two families" is written as what lies around them.
SOCKETS = [
    allow("any family below AF_ALG", "socket", compared(0, "LT", _AF_ALG)),
    allow("the family between AF_ALG and AF_VSOCK", "socket", compared(0, "EQ", _AF_ALG + 1)),
    allow("any family above AF_VSOCK", "socket", compared(0, "GT", _AF_VSOCK)),
]


def worker(default: Profile) -> Profile:
    """The profile as Docker reads it."""
    rules = []
    for rule in default["syscalls"]:
        plain = not rule.get("includes") and not rule.get("excludes") and not rule.get("args")
        gone = {*TAKEN_AWAY, "socket"} if plain else set()
        rules.append({**rule, "names": [name for name in rule["names"] if name not in gone]})
    return {**default, "syscalls": [*rules, *SOCKETS, *ADDED]}


def without_conditions(profile: Profile) -> Profile:
    """The same for runtimes that know no conditions (containerd, so most of Kubernetes), resolved.

    It is for a process without capabilities on x86_64 or aarch64. Such a runtime would read a rule "only with
    CAP_SYS_ADMIN" as a rule for everybody.
    """
    rules = []
    for rule in profile["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if (
            includes.get("caps")
            or not _meant(includes.get("arches"))
            or set(_MACHINES) <= set(excludes.get("arches") or ())
        ):
            continue
        kept = ("names", "action", "args", "errnoRet")
        rules.append({key: rule[key] for key in kept if rule.get(key)})
    machines = ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64")
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": 1,
        "architectures": list(machines),
        "syscalls": rules,
    }


def _meant(machines: list[str] | None) -> bool:
    return not machines or any(machine in machines for machine in _MACHINES)


def texts() -> dict[Path, str]:
    """{file: what it must hold}."""
    default = json.loads((HERE / "docker-default.json").read_text())
    made = worker(default)
    found = {"worker.json": made, "worker-oci.json": without_conditions(made)}
    return {HERE / name: json.dumps(profile, indent="\t") + "\n" for name, profile in found.items()}


def main() -> int:
    if "--check" in sys.argv:
        stale = [path.name for path, text in texts().items() if not path.exists() or path.read_text() != text]
        for name in stale:
            print(f"{name} is not what make.py writes")
        return 1 if stale else 0
    for path, text in texts().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
