"""Cuts a submission down to what the functions asked for need.

Homework is not run from top to bottom: it would train for minutes, download data and stop at the first variable that
only existed in the student's kernel. Kept are imports, definitions, classes and assignments that the asked names
need, transitively. Everything else is blanked, so that a line number in a traceback is a line of the upload.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from grader.errors import NotGradable
from grader.intake.asked import Lookup
from grader.intake.leaks import leaks
from grader.intake.library_use import Use, library_uses, packages_of
from grader.intake.omissions import left_out, notes, typos
from grader.intake.pieces import Kind, Piece
from grader.intake.program import Closure, Program
from grader.intake.rendering import render
from grader.intake.source import BrokenCell, Origin, Source, Submission, listed
from grader.reports import LeftOut, Text


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The program to run, and what to say about the rest.

    `text` has the lines of `Submission.source.text`; each kept statement stands at its own line and column. It is
    run as text, never written to a file first: an encoding comment in it means nothing.
    """

    text: str
    modules: Mapping[str, str]
    defined: tuple[str, ...]
    missing: Mapping[str, Text]
    stubs: Mapping[str, Text]
    left_out: tuple[LeftOut, ...]
    notes: tuple[Text, ...]
    origins: tuple[Origin, ...]
    asked: frozenset[str]
    packages: frozenset[str]  # top-level names of the packages that the program mentions in any import
    find_uses: Callable[[str], tuple[Use, ...]]
    find_leaks: Callable[[], Mapping[str, Text]]
    typos: Mapping[str, Text] = field(default_factory=dict)  # undefined name -> what it was meant to be

    def uses(self, name: str) -> tuple[Use, ...]:
        """Library names that the answer to an asked name uses; empty for a name that was not asked for."""
        return self.find_uses(name) if name in self.asked else ()

    @functools.cached_property
    def leaks(self) -> Mapping[str, Text]:
        """Asked name -> it reads the notebook's data. Looked for only on demand: most code is right."""
        return self.find_leaks()

    def origin(self, line: int) -> Origin:
        """Where line `line` (from 1) of `text` came from; lines outside of the program give the nearest one."""
        return self.origins[min(max(line, 1), len(self.origins)) - 1]


def slice_submission(submission: Submission, asked: Sequence[str]) -> Slice:
    """The part of a submission that answers `asked`: functions, classes and dotted methods.

    Raises NotGradable when nothing asked for is there, when nothing in it was filled in, when a cell that is needed
    does not parse, or when the code is nested too deeply.
    """
    source = submission.source
    program = _program(source)
    modules = {stem: _program(module) for stem, module in submission.modules.items() if not module.broken}
    lookup = Lookup(program, modules, asked)
    missing = {name: text for name in asked if (text := lookup.missing(name)) is not None}
    stubs: dict[str, Text] = {}
    for name in asked:
        if name not in missing and (found := lookup.stub(name)) is not None:
            stubs[name] = _stub_text(name, source.origins[found[1].lineno - 1] if found[0] is program else None)
    _check_broken(source, asked, missing, stubs)
    _check_any(program, lookup, asked, missing, stubs)
    closure = _closure(program, asked)
    needed = _needed_modules(program, closure, submission, modules)
    misspelt = typos(program, lookup, closure, source, asked)
    return Slice(
        text=render(program, closure),
        modules={stem: submission.modules[stem].text for stem in needed},
        defined=program.defined(),
        missing=missing,
        stubs=stubs,
        left_out=(*submission.left_out, *source.left_out, *left_out(program, closure, source)),
        notes=(*submission.notes, *notes(program, lookup, closure, source, asked, misspelt)),
        origins=source.origins,
        asked=frozenset(asked),
        packages=frozenset().union(*(packages_of(p) for p in (program, *modules.values()))),
        find_uses=functools.cache(lambda name: library_uses(lookup, modules, name)),
        find_leaks=lambda: leaks(lookup, source, asked),
        typos=misspelt,
    )


def _program(source: Source) -> Program:
    program = Program.read(source.text)
    if isinstance(program, Program):
        return program
    at = source.origins[program.line - 1].say()
    raise NotGradable(
        Text(en=f"{source.name}, {at.en}: {program.reason.en}.", zh=f"{source.name} {at.zh}：{program.reason.zh}。")
    )


def _stub_text(name: str, origin: Origin | None) -> Text:
    at = Text(en="", zh=" ") if origin is None else Text(en=f" ({origin.say().en})", zh=f"（{origin.say().zh}）")
    return Text(
        en=f"{name} is not filled in yet{at.en}: its body does nothing.", zh=f"{name}{at.zh}还没有填写：函数体是空的。"
    )


def _check_broken(source: Source, asked: Sequence[str], missing: Mapping[str, Text], stubs: Mapping[str, Text]) -> None:
    """A cell that does not parse matters when it may hold what is not found elsewhere."""
    if not source.broken:
        return
    absent = [name for name in asked if name in missing or name in stubs]
    nothing = bool(asked) and len(absent) == len(asked)
    words = {part for name in missing for part in name.split(".")}
    guilty = [cell for cell in source.broken if nothing or any(word in cell.text for word in words)]
    if guilty:
        raise NotGradable(_all_messages(guilty))


def _all_messages(cells: Sequence[BrokenCell]) -> Text:
    return Text(
        en="\n".join(cell.message.en for cell in cells[:5]), zh="\n".join(cell.message.zh for cell in cells[:5])
    )


def _check_any(
    program: Program, lookup: Lookup, asked: Sequence[str], missing: Mapping[str, Text], stubs: Mapping[str, Text]
) -> None:
    if asked and len(missing) == len(asked):
        raise NotGradable(_nothing_there(program, lookup, asked, missing))
    parents = {name.partition(".")[0] for name in asked if "." in name}
    there = [name for name in asked if name not in missing and name not in parents]
    if there and all(name in stubs for name in there):
        names = listed(there)
        raise NotGradable(
            Text(
                en=f"Nothing is filled in yet: {names.en}. Write the bodies, save the file and upload it again.",
                zh=f"这些内容都还没有填写：{names.zh}。请写好函数体，保存后重新上传。",
            )
        )


def _nothing_there(program: Program, lookup: Lookup, asked: Sequence[str], missing: Mapping[str, Text]) -> Text:
    top = [name for name in asked if "." not in name] or list(asked)
    names, defined = listed(top), listed(program.defined())
    text = Text(
        en=f"None of what this assignment asks for is in the file: {names.en}.",
        zh=f"文件里没有题目要求的任何内容：{names.zh}。",
    )
    if program.defined():
        text = text + Text(en=f"Your file defines {defined.en}.", zh=f"文件里定义了 {defined.zh}。")
    else:
        text = text + Text(en="Your file defines no functions or classes.", zh="文件里没有定义任何函数或类。")
    for name in top[:6]:
        if program.binds(name) or name in program.guarded:
            text = text + missing[name]  # there is more to say than that it is not there
        elif (match := lookup.meant(name)) is not None:
            text = text + Text(
                en=f"If {match} is meant as {name}, rename it to {name}.",
                zh=f"如果 {match} 就是 {name}，请改名为 {name}。",
            )
    return text


def _closure(program: Program, asked: Sequence[str]) -> Closure:
    """What the asked names need, and the cheap settings that change their numbers."""
    heads = list(dict.fromkeys(name.partition(".")[0] for name in asked))
    heads = [head for head in heads if program.binds(head) or program.stars]
    closure = program.closure(heads)
    for piece in program.pieces:
        if piece.kind is Kind.CONFIGURATION and _applies(program, closure, piece):
            closure.kept.add(piece.index)
    if any(program.pieces[i].kind is Kind.CONFIGURATION for i in closure.kept):
        names = {n for i in closure.kept if program.pieces[i].kind is Kind.CONFIGURATION for n in _names(program, i)}
        more = program.closure([*heads, *names])
        closure.kept |= more.kept
        closure.wanted.update(more.wanted)
    return closure


def _names(program: Program, index: int) -> list[str]:
    return [*program.pieces[index].reads.now, *program.pieces[index].reads.later]


def _applies(program: Program, closure: Closure, piece: Piece) -> bool:
    """Whether a setting speaks to a library that the slice imports, with nothing but constants besides."""
    imported = False
    for name in _names(program, piece.index):
        index = program.binding(name)
        if index is None:
            return False
        bound = program.pieces[index]
        if bound.kind is Kind.IMPORT and index in closure.kept:
            imported = True
        elif bound.kind is not Kind.ASSIGNMENT or bound.scope.chains or bound.scope.inner:
            return False
    return imported


def _needed_modules(
    program: Program, closure: Closure, submission: Submission, modules: Mapping[str, Program]
) -> list[str]:
    """Siblings that the slice imports, directly or through one another. Raises NotGradable for a broken one."""
    todo = [m for i in closure.kept for scope in program.pieces[i].scope.everything() for m in scope.modules]
    needed: dict[str, None] = {}
    while todo:
        stem = todo.pop().lstrip(".").partition(".")[0]
        if stem in needed or stem not in submission.modules:
            continue
        if submission.modules[stem].broken:
            raise NotGradable(submission.modules[stem].broken[0].message)
        needed[stem] = None
        for piece in modules[stem].pieces:
            todo += [m for scope in piece.scope.everything() for m in scope.modules]
    return sorted(needed)
