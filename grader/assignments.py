"""Loading an assignment: a folder with assignment.toml, checks.py, solution.py, starter.py, statements and mistakes/.

Only checks.py is executed here, in the trusted process: its author is the teacher. The solution and the
mistakes are text to this process and run in a sandbox child like everything else that computes.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader.checks import Check, two_languages
from grader.errors import AssignmentError
from grader.reports import Language, Text

RUNTIMES = ("numpy", "tensorflow", "torch")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of the sheet. asks: names it needs; banned: library names and TensorFlow op types it must not use.

    why: Markdown with $math$: what the part asks for, and why the usual mistake is one.
    """

    name: str
    title: Text
    asks: tuple[str, ...]
    banned_names: frozenset[str] = frozenset()
    banned_ops: frozenset[str] = frozenset()
    why: Text | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """A known mistake: a wrong variant that replaces definitions of the solution. hint: what to tell the student."""

    name: str
    part: str
    hint: Text
    source: str


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One assignment, complete. version: hash of everything that can change a verdict or its explanation."""

    name: str
    folder: Path
    version: str
    title: Text
    runtime: str
    parts: tuple[Part, ...]
    checks: tuple[Check, ...]
    solution: str
    starter: str
    mistakes: tuple[Mistake, ...]
    asks: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()  # names that the starter gives complete: they carry no points
    classes: frozenset[str] = field(default=frozenset())
    data: tuple[str, ...] = ()  # files of the folder `data` beside the assignment that its checks read

    @property
    def max_score(self) -> float:
        return sum(check.points for check in self.checks)

    @property
    def methods(self) -> frozenset[str]:
        return frozenset(name for name in self.asks if "." in name)

    @functools.cached_property
    def watched(self) -> dict[str, list[str]]:
        """Library names and op types that a child should notice: those banned in any part."""
        return {
            "watch": sorted({name for part in self.parts for name in part.banned_names}),
            "ops": sorted({op for part in self.parts for op in part.banned_ops}),
        }

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def statement(self, lang: Language) -> str:
        """The sheet's text in Markdown. Raises AssignmentError."""
        return _read(self.folder / f"statement.{lang}.md")

    def mistaken_solution(self, mistake: Mistake) -> str:
        """The solution with one mistake in it: the last definition wins."""
        return f"{self.solution}\n\n{mistake.source}"


def load(folder: Path) -> Assignment:
    """Reads and checks an assignment's folder. Raises AssignmentError naming the file and what is wrong in it."""
    if not (folder / "assignment.toml").is_file():
        raise AssignmentError(f"{folder} is not an assignment: it has no assignment.toml")
    table = _table(folder / "assignment.toml")
    parts = tuple(_part(folder / "assignment.toml", entry, table) for entry in _need(table, "part", list, folder))
    checks = _checks(folder)
    asks = tuple(dict.fromkeys(name for part in parts for name in part.asks))
    runtime = _need(table, "runtime", str, folder)
    if runtime not in RUNTIMES:
        raise AssignmentError(f"{folder}/assignment.toml: runtime is {runtime!r}; known are {', '.join(RUNTIMES)}")
    data = _names(table, "data", f"{folder}/assignment.toml")
    assignment = Assignment(
        name=folder.name,
        folder=folder,
        version=_version(folder, data),
        title=_text(_need(table, "title", dict, folder), "title", f"{folder}/assignment.toml"),
        runtime=runtime,
        parts=parts,
        checks=checks,
        solution=_read(folder / "solution.py"),
        starter=_read(folder / "starter.py"),
        mistakes=tuple(_mistake(path) for path in sorted((folder / "mistakes").glob("*.py"))),
        asks=asks,
        given=frozenset(_names(table, "given", str(folder / "assignment.toml"))),
        classes=frozenset(name.partition(".")[0] for name in asks if "." in name) | _classes(folder / "solution.py"),
        data=data,
    )
    _consistent(assignment)
    return assignment


def load_all(root: Path) -> dict[str, Assignment]:
    """Every assignment below root, by name. Raises AssignmentError."""
    if not root.is_dir():
        raise AssignmentError(f"{root} does not exist; set GRADER_REFERENCE_DIR to the folder of the assignments")
    folders = sorted(path.parent for path in root.glob("*/assignment.toml"))
    return {folder.name: load(folder) for folder in folders}


def _consistent(assignment: Assignment) -> None:
    """The promises between the files; each failure names both ends."""
    where = f"{assignment.folder}/checks.py"
    parts = {part.name for part in assignment.parts}
    if len(parts) < len(assignment.parts):
        raise AssignmentError(f"{assignment.folder}/assignment.toml: two parts have the same name")
    heads = {name.partition(".")[0] for name in assignment.asks}
    if assignment.given - heads:
        names = ", ".join(sorted(assignment.given - heads))
        raise AssignmentError(f"{assignment.folder}/assignment.toml: given names {names}, which no part asks for")
    seen: set[str] = set()
    for check in assignment.checks:
        if check.part not in parts:
            raise AssignmentError(
                f"{where}: check {check.id} belongs to part {check.part!r}, which assignment.toml lacks"
            )
        for other in check.requires:
            if other not in seen:
                raise AssignmentError(f"{where}: check {check.id} requires {other!r}, which no earlier check is called")
        seen.add(check.id)
    for mistake in assignment.mistakes:
        if mistake.part not in parts:
            raise AssignmentError(
                f"{assignment.folder}/mistakes/{mistake.name}.py: PART is {mistake.part!r}, which is no part"
            )
    for part in parts - {check.part for check in assignment.checks}:
        raise AssignmentError(f"{where}: part {part!r} has no check")


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path))
    except tomllib.TOMLDecodeError as error:
        raise AssignmentError(f"{path}: {error}") from None


def _need(table: Mapping[str, Any], key: str, kind: type, folder: Path) -> Any:
    if not isinstance(table.get(key), kind):
        raise AssignmentError(f"{folder}: assignment.toml needs {key!r} ({kind.__name__})")
    return table[key]


def _part(path: Path, entry: Mapping[str, Any], table: Mapping[str, Any]) -> Part:
    """One [[part]]; banned lists at the top of the file hold for every part that has none of its own."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise AssignmentError(f"{path}: every [[part]] is a table with a name")
    where = f"{path}, part {entry['name']}"
    return Part(
        name=entry["name"],
        title=_text(entry.get("title"), "title", where),
        asks=_names(entry, "asks", where),
        banned_names=frozenset(_names({**table, **entry}, "banned_names", where)),
        banned_ops=frozenset(_names({**table, **entry}, "banned_ops", where)),
        why=_text(entry["why"], "why", where) if "why" in entry else None,
    )


def _names(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A list of texts; only `asks` must be there."""
    value = table.get(key, None if key == "asks" else [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise AssignmentError(f"{where}: {key} must be a list of names")
    return tuple(value)


def _text(value: Any, key: str, where: str) -> Text:
    if not isinstance(value, dict) or not isinstance(value.get("en"), str) or not isinstance(value.get("zh"), str):
        raise AssignmentError(f"{where}: {key} needs en and zh")
    return Text(en=value["en"], zh=value["zh"])


def _checks(folder: Path) -> tuple[Check, ...]:
    path = folder / "checks.py"
    _no_name_twice(path)
    spec = importlib.util.spec_from_file_location(f"reference_{folder.name}_checks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever an author's module raises while it is imported
        raise AssignmentError(f"{path}: {type(error).__name__}: {error}") from error
    checks = tuple(thing for thing in vars(module).values() if isinstance(thing, Check))
    if not checks:
        raise AssignmentError(f"{path} defines no check")
    return checks


def _no_name_twice(path: Path) -> None:
    """Python would silently keep the last of two functions of one name, and with it drop a check."""
    try:
        tree = ast.parse(_read(path), str(path))
    except SyntaxError as error:
        raise AssignmentError(f"{path}, line {error.lineno}: {error.msg}") from None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for name in names:
        if names.count(name) > 1:
            raise AssignmentError(f"{path}: {name} is defined twice")


def _mistake(path: Path) -> Mistake:
    source = _read(path)
    try:
        tree = ast.parse(source, str(path))
    except SyntaxError as error:
        raise AssignmentError(f"{path}, line {error.lineno}: {error.msg}") from None
    part = None
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == "PART":
                part = node.value.value
    if not isinstance(part, str):
        raise AssignmentError(f'{path} needs a line PART = "<name of the part>"')
    try:
        hint = two_languages(ast.get_docstring(tree) or "", "the docstring")
    except ValueError as error:
        raise AssignmentError(f"{path}: {error}") from None
    return Mistake(name=path.stem, part=part, hint=hint, source=source)


def _classes(path: Path) -> frozenset[str]:
    try:
        return frozenset(node.name for node in ast.parse(_read(path)).body if isinstance(node, ast.ClassDef))
    except SyntaxError as error:
        raise AssignmentError(f"{path}, line {error.lineno}: {error.msg}") from None


def _version(folder: Path, data: tuple[str, ...]) -> str:
    """A hash of what decides: the assignment's own files and the data that it names. Raises AssignmentError."""
    digest = hashlib.sha256()
    own = [path for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".toml") and path.is_file()]
    for path in own:
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    for name in data:
        path = folder.parent / "data" / name
        if Path(name).name != name or not path.is_file():
            raise AssignmentError(f"{folder}/assignment.toml: data names {name!r}, but {path} is not a file")
        digest.update(f"data/{name}\0{path.stat().st_size}\0".encode())
        digest.update(_digest(path, path.stat().st_mtime_ns))
    return digest.hexdigest()[:12]


@functools.lru_cache(maxsize=16)
def _digest(path: Path, modified_ns: int) -> bytes:
    """Of a data file, which several assignments share and which is only read again when it was changed."""
    return hashlib.sha256(path.read_bytes()).digest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise AssignmentError(f"{path} is missing") from None
    except UnicodeDecodeError:
        raise AssignmentError(f"{path} is not UTF-8") from None
