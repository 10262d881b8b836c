"""The assignments on disk, loaded at the start and again when an administrator asks for it."""

from __future__ import annotations

import threading
from pathlib import Path

from grader.assignments import Assignment, load_all
from grader.errors import Conflict


class Catalogue:
    """Assignments by name. Thread-safe; `again` reads the folder anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._found = load_all(folder)

    @property
    def names(self) -> list[str]:
        return list(self._found)

    def get(self, name: str) -> Assignment:
        """Raises Conflict for an assignment that a course published and whose folder is gone."""
        found = self._found.get(name)
        if found is None:
            raise Conflict(
                f"The assignment {name[:60]!r} is not installed on this server. Please tell your teacher.",
                f"服务器上没有安装作业 {name[:60]!r}。请告诉你的老师。",
            )
        return found

    def again(self) -> None:
        with self._lock:
            self._found = load_all(self._folder)
