"""The container's health check: `grader serve` answers, or `grader worker` lives and has its sandbox.

Standard library only, because it is started every few seconds. A worker has no port to ask: its process must be there,
neither stopped nor dead, with a child, for the sandbox's first process is one. That it takes work is seen by the other
workers, which take its jobs back when its heartbeat stays away.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def processes() -> Iterator[tuple[int, int, str, list[str]]]:
    """(pid, parent, state, arguments) of everything in this container."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # it ended meanwhile
            yield int(folder.name), int(fields[1]), fields[0], arguments


def answers(port: int) -> str:
    """Empty when the service answers, else what is wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except OSError as error:
        return f"port {port}: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"/health/live answered {status}"


def main() -> str:
    """Empty when this container is healthy, else what is wrong."""
    found = list(processes())
    for pid, _, state, arguments in found:
        command = next((word for word in ("serve", "worker") if ["-m", "grader", word] == arguments[2:5]), "")
        if command == "serve":
            return answers(int(os.environ.get("GRADER_PORT") or 8000))
        if command == "worker":
            if state in "TtZX":
                return f"the worker is in state {state}"
            alive = any(parent == pid and state not in "ZX" for _, parent, state, _ in found)
            return "" if alive else "the worker has no sandbox"
    return "neither grader serve nor grader worker runs here"


if __name__ == "__main__":
    sys.exit(main() or 0)
