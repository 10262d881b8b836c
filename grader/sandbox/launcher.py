"""The first process of a zygote: enters the jail, then executes the interpreter anew inside it.

It runs the runner's interpreter, because that alone knows where its own standard library and packages are, and imports
nothing but the standard library: a second thread (NumPy would start some) makes a user namespace impossible.

Descriptors: 3 the control socket, 4 the bundle (our modules as text, JSON), 5 /proc as seen before the jail.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any, NoReturn

from grader.sandbox import jail, watching

CONTROL, BUNDLE, PROC = 3, 4, 5


def launch(config: dict[str, Any]) -> None:
    """Enters the jail and becomes its zygote, or tells over the control socket which step failed."""
    control = socket.socket(fileno=CONTROL)
    try:
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        if proc != PROC:
            os.dup2(proc, PROC)
        for fd in (CONTROL, BUNDLE, PROC):
            os.set_inheritable(fd, True)
        environment = jail.environment(config["mode"], config["runtime"], jail.runner_binds())
        python = sys.executable
        if config["mode"] in "AB":
            python = jail.enter(PROC, config["runner_uid"], digits(config), watching.ABSENT[config["runtime"]])
            pid = os.fork()
            if pid:
                _wait_for(pid)
            jail.die_with_parent()
        elif config["mode"] == "C" and os.geteuid() == 0 and _may_start(python, config["runner_uid"]):
            jail.give_up_root(config["runner_uid"])
        boot = config["boot"].format(entry="zygote.serve")
        os.execve(python, [python, "-P", "-s", "-S", "-c", boot], environment)
    except OSError as error:
        send(control, {"op": "failed", "step": str(error.filename or "start"), "errno": error.errno or 0})
        os._exit(1)


def digits(config: dict[str, Any]) -> bytes:
    """The .npz file at the end of the bundle."""
    size = config["digits_bytes"]
    return os.pread(BUNDLE, size, os.fstat(BUNDLE).st_size - size)


def _may_start(python: str, uid: int) -> bool:
    """Whether an ordinary user can enter the folder of the interpreter and of its library; tried in a child."""
    pid = os.fork()
    if pid == 0:
        try:
            jail.give_up_root(uid)
            reachable = os.access(python, os.X_OK) and os.access(os.__file__, os.R_OK)
        except OSError:
            reachable = False
        os._exit(0 if reachable else 1)
    return os.waitpid(pid, 0)[1] == 0


def _wait_for(pid: int) -> NoReturn:
    """The launcher stays as the parent of process 1, without descriptors, until that is gone."""
    os.closerange(3, 1024)
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def send(control: socket.socket, message: dict[str, Any]) -> None:
    control.send(json.dumps(message).encode())
