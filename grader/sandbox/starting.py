"""Starting a zygote: the bundle of our modules, the launcher's command line, and what can be missing."""

from __future__ import annotations

import functools
import itertools
import json
import os
import socket
import subprocess
from pathlib import Path

from grader.errors import AssignmentError, SandboxError, SandboxUnavailable
from grader.sandbox.digits import SHIPPED, readable_digits
from grader.sandbox.limits import Mode, SandboxConfig

_MODULES = (
    "wire", "seccomp", "landlock", "jail", "values", "parameters", "warming", "watching", "substitutes",
    "plotting", "driver", "serving", "launcher", "zygote",
)  # fmt: skip
# What launcher and zygote start with: an importer for the modules of the bundle on descriptor 4, then the entry.
_BOOT = """
import json, os, sys
from importlib.machinery import ModuleSpec
os.lseek(4, 0, os.SEEK_SET)
with open(4, "rb", closefd=False) as file:
    bundle = json.loads(file.readline())
class Bundle:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("grader", "grader.sandbox") or name in bundle["modules"]:
            return ModuleSpec(name, Bundle, is_package=name not in bundle["modules"])
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        text = bundle["modules"].get(module.__name__)
        if text is not None:
            exec(compile(text, "<" + module.__name__ + ">", "exec"), module.__dict__)
sys.meta_path.insert(0, Bundle)
import importlib
module, _, entry = "{entry}".partition(".")
getattr(importlib.import_module("grader.sandbox." + module), entry)(bundle["config"])
"""


class LayerMissing(SandboxError):
    """A step of building the jail was refused by the kernel; step and errno say which and how."""

    def __init__(self, step: str, errno: int) -> None:
        super().__init__(f"{step}: {os.strerror(errno) if errno else 'failed'}")
        self.step, self.errno = step, errno


def missing_runtime(runtime: str, module: str) -> str:
    command = "make setup TORCH=1" if runtime == "torch" else "make setup"
    return f"the runner environment has no {module}, which runtime {runtime} needs; run: {command}"


def _digits(config: SandboxConfig) -> bytes:
    try:
        return readable_digits(config.digits or SHIPPED)
    except AssignmentError as error:
        raise SandboxUnavailable(f"the digits for students' code cannot be read: {error}") from None


@functools.cache
def _modules() -> dict[str, str]:
    """{name: text} of what runs in the jail; read once, so that a zygote started later fits the grader that runs."""
    folder = Path(__file__).parent
    return {f"grader.sandbox.{name}": (folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}


def start(config: SandboxConfig, runtime: str, mode: Mode, control: socket.socket) -> subprocess.Popen[bytes]:
    """Executes the launcher with an empty environment and two descriptors: the socket (3) and the bundle (4).

    The bundle is a line of JSON and then the digits as an .npz file.
    """
    if not config.runner_python.exists():
        raise SandboxUnavailable(f"there is no interpreter at {config.runner_python}; run: make setup")
    digits = _digits(config)
    bundle = {
        "modules": _modules(),
        "config": {
            "boot": _BOOT,
            "mode": str(mode),
            "runtime": runtime,
            "runner_uid": config.runner_uid,
            "landlock": config.landlock,
            "process_limit": _kernel_version() >= (5, 14),
            "digits_bytes": len(digits),
        },
    }
    memory = os.memfd_create("bundle")
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(json.dumps(bundle).encode() + b"\n" + digits)
        # subprocess offers no way to place descriptors; the launcher's first line does.
        place = "import os, sys; a, b = map(int, sys.argv[1:3]); " + (
            "c = os.dup(a), os.dup(b); os.dup2(os.dup(c[0]), 203); os.dup2(os.dup(c[1]), 204); "
            "os.dup2(203, 3); os.dup2(204, 4); os.closerange(5, 1024)\n"
        )
        return subprocess.Popen(
            [
                config.runner_python.absolute(),
                "-I",
                "-c",
                place + _BOOT.format(entry="launcher.launch"),
                str(control.fileno()),
                str(memory),
            ],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if config.debug else subprocess.DEVNULL,
            pass_fds=(control.fileno(), memory),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(
            f"the interpreter {config.runner_python} cannot be started ({error.strerror}); run: make setup"
        ) from None
    finally:
        os.close(memory)


def _kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(itertools.takewhile(str.isdigit, minor)) or 0)
