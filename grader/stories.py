"""Stories: files that somebody might hand in, each with what a truthful, helpful report on it says.

A story is a folder with the file and `expected.toml`. Its keys are read here and nowhere else:

    about      one sentence: what this student did
    kind       one of KINDS
    file       name of the file handed in
    status     "graded" or "not_gradable"
    score      points in total; [parts] has those of every part
    mistakes   names of exactly the known mistakes that the report names, none by default
    message    fragments, each of which is in some message or note of the report
    zh         the same for the Chinese report
    never      fragments that are in no message or note
    [statuses] status of single checks
    [named]    the mistake named at single checks
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.reports import Json, Report, ReportStatus, Status

SECRET = "acceptance"  # inputs follow from it: fixed, so that a story meets the same ones everywhere and every time
ATTACKS = frozenset(
    {"hang", "memory", "fork", "network", "files", "forged", "exit", "patched", "flood", "searches", "crash"}
)
KINDS = ATTACKS | {
    "correct", "half_correct", "starter", "unstable", "mistake", "typo", "global_leak", "not_json", "stub_above",
    "magics", "top_level_training", "environment", "precision", "banned", "misunderstood",
}  # fmt: skip


class BadStory(Exception):
    """A story's expected.toml is not what `load` reads."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a story looks at in a report. checks: status and named mistake; said, zh: messages and notes."""

    status: str
    score: float
    parts: Mapping[str, float]
    checks: Mapping[str, tuple[str, str | None]]
    said: Sequence[str]
    zh: Sequence[str]

    @classmethod
    def of(cls, en: Mapping[str, Json], zh: Mapping[str, Json]) -> Seen:
        """From a report as JSON, in both languages."""
        return cls(
            status=en["status"],
            score=en["score"],
            parts={part["name"]: part["score"] for part in en["parts"]},
            checks={check["id"]: (check["status"], check["mistake"]) for check in en["checks"]},
            said=_said(en),
            zh=_said(zh),
        )


def _said(report: Mapping[str, Json]) -> list[str]:
    return [*report["notes"], *(check["message"] for check in report["checks"] if check["message"])]


@dataclass(frozen=True, kw_only=True)
class Story:
    """One story; see the module."""

    assignment: str
    name: str
    folder: Path
    about: str
    kind: str
    file: str
    status: ReportStatus
    score: float
    parts: Mapping[str, float]
    mistakes: frozenset[str] = frozenset()
    message: tuple[str, ...] = ()
    zh: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    statuses: Mapping[str, Status]
    named: Mapping[str, str]

    @property
    def id(self) -> str:
        return f"{self.assignment}/{self.name}"

    @property
    def data(self) -> bytes:
        return (self.folder / self.file).read_bytes()

    def differences(self, report: Report) -> list[str]:
        """Where the report is not what the story expects; empty when all is well."""
        return self.differences_from(Seen.of(report.to_json("en"), report.to_json("zh")))

    def differences_from(self, seen: Seen) -> list[str]:
        """The same for a report that came as JSON."""
        found: list[str] = []

        def same(what: str, got: object, expected: object) -> None:
            if got != expected:
                found.append(f"{what}: got {_shown(got)}, expected {_shown(expected)}")

        nothing = (None, None)
        same("status", seen.status, str(self.status))
        same("score", seen.score, self.score)
        same("parts", dict(seen.parts), dict(self.parts))
        for check, status in self.statuses.items():
            same(f"status of {check}", seen.checks.get(check, nothing)[0], str(status))
        for check, mistake in self.named.items():
            same(f"mistake at {check}", seen.checks.get(check, nothing)[1], mistake)
        same("mistakes", sorted({mistake for _, mistake in seen.checks.values() if mistake}), sorted(self.mistakes))
        found += [f"nothing says {part!r}" for part in self.message if not any(part in text for text in seen.said)]
        found += [f"nothing says {part!r}" for part in self.zh if not any(part in text for text in seen.zh)]
        found += [f"something says {part!r}" for part in self.never if any(part in text for text in seen.said)]
        return found


def _shown(value: object) -> str:
    if isinstance(value, float | int):
        return f"{value:g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) + "}"
    return repr(value)


def stories(root: Path) -> list[Story]:
    """All stories below a folder, by assignment and name. Raises BadStory."""
    folders = sorted(folder for group in root.iterdir() if group.is_dir() for folder in group.iterdir())
    return [load(folder) for folder in folders]


def load(folder: Path) -> Story:
    """The story in a folder. Raises BadStory naming the file and the key that is wrong."""
    path = folder / "expected.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadStory(f"{path}: {error}") from error
    take = _Table(path, table)
    story = Story(
        assignment=folder.parent.name,
        name=folder.name,
        folder=folder,
        about=take.text("about"),
        kind=take.one_of("kind", KINDS),
        file=take.text("file"),
        status=ReportStatus(take.one_of("status", ("graded", "not_gradable"))),
        score=take.number("score"),
        parts=take.numbers("parts"),
        mistakes=frozenset(take.texts("mistakes")),
        message=take.texts("message"),
        zh=take.texts("zh"),
        never=take.texts("never"),
        statuses={check: Status(status) for check, status in take.each_one_of("statuses", list(Status)).items()},
        named=take.table("named"),
    )
    take.finish()
    if sum(story.parts.values()) != story.score:
        raise BadStory(f"{path}: parts: they do not add up to the score")
    return story


class _Table:
    """A TOML table whose every key is read once and has its type."""

    def __init__(self, path: Path, table: Mapping[str, Any]) -> None:
        self._path, self._table, self._read = path, table, set[str]()

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise BadStory(f"{self._path}: {key}: a text is needed")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key, [])
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(v, str) and v for v in value)
        ):
            raise BadStory(f"{self._path}: {key}: a list of texts is needed")
        return tuple(value)

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise BadStory(f"{self._path}: {key}: a table is needed")
        return value

    def number(self, key: str) -> float:
        return self._number(key, self._get(key))

    def numbers(self, key: str) -> dict[str, float]:
        return {name: self._number(name, value) for name, value in self.table(key).items()}

    def one_of(self, key: str, allowed: Iterable[str]) -> str:
        return self._one_of(key, self.text(key), allowed)

    def each_one_of(self, key: str, allowed: Iterable[str]) -> dict[str, str]:
        return {name: self._one_of(name, value, allowed) for name, value in self.table(key).items()}

    def finish(self) -> None:
        unknown = self._table.keys() - self._read
        if unknown:
            raise BadStory(f"{self._path}: unknown keys: {', '.join(sorted(unknown))}")

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadStory(f"{self._path}: {key}: a number is needed")
        return float(value)

    def _one_of(self, key: str, value: Any, allowed: Iterable[str]) -> str:
        if value not in allowed:
            raise BadStory(f"{self._path}: {key}: {value!r} is none of {', '.join(sorted(allowed))}")
        return str(value)

    def _get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        return self._table.get(key, default)
