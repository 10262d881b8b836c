"""Which file of a zip is the homework, and which of the others it may import."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grader.errors import NotGradable
from grader.intake.archive import Entry
from grader.intake.asked import LIBRARIES, Lookup
from grader.intake.program import Program
from grader.intake.source import Source, listed
from grader.reports import Text

_SHADOWED = LIBRARIES | sys.stdlib_module_names


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The main program of a zip, the scripts it may import, and what to tell about that."""

    main: Source
    modules: Mapping[str, Source]
    notes: tuple[Text, ...]


def choose(sources: Mapping[Entry, Source], asked: Sequence[str]) -> Choice:
    """The program that offers most of `asked`, imports from its siblings included.

    On a tie the one that defines most of it itself, then a notebook before a script, then by name when they are the
    same. Raises NotGradable when they are not.
    """
    programs = {entry: Program.read(source.text) for entry, source in sources.items()}
    read = {entry: program for entry, program in programs.items() if isinstance(program, Program)}
    beside = {sources[entry].name.rpartition(".")[0]: read[entry] for entry in read if not _notebook(entry)}
    offered = {entry: _answers(program, beside, asked) for entry, program in read.items()}
    own = {entry: _answers(program, {}, asked) for entry, program in read.items()}

    def rank(entry: Entry) -> tuple[int, int, bool, str]:
        return -offered.get(entry, 0), -own.get(entry, 0), not _notebook(entry), entry.path

    ranked = sorted(sources, key=rank)
    main = ranked[0]
    _one_answer(main, [e for e in ranked[1:] if rank(e)[:3] == rank(main)[:3]], sources, own)
    notes: list[Text] = []
    if len(ranked) > 1:
        others = listed([sources[e].name for e in ranked[1:]], 6)
        notes.append(
            Text(
                en=f"{sources[main].name} was graded, because it defines most of what is asked for "
                f"(also in the zip: {others.en}).",
                zh=f"评分的是 {sources[main].name}，因为题目要求的内容大多在这个文件里（zip 里还有：{others.zh}）。",
            )
        )
    modules: dict[str, Source] = {}
    for entry in sorted(ranked[1:], key=lambda e: e.path):
        stem = sources[entry].name.rpartition(".")[0]
        if _notebook(entry) or _folder(entry) != _folder(main) or not stem.isidentifier():
            continue
        if stem in _SHADOWED:
            notes.append(
                Text(
                    en=f"{sources[entry].name} has the name of a library and cannot be imported. Give it another name.",
                    zh=f"{sources[entry].name} 与某个库同名，无法导入。请换一个名字。",
                )
            )
            continue
        modules[stem] = sources[entry]
    return Choice(main=sources[main], modules=modules, notes=tuple(notes))


def _one_answer(
    main: Entry, equals: Sequence[Entry], sources: Mapping[Entry, Source], own: Mapping[Entry, int]
) -> None:
    """Raises NotGradable when several files answer as much and differ: which one counts is not ours to guess."""
    differing = [entry for entry in equals if sources[entry].text != sources[main].text]
    if own.get(main, 0) and differing:
        names = listed([sources[entry].name for entry in (main, *differing)], 6)
        raise NotGradable(
            Text(
                en=f"The zip holds several answers: {names.en}. Hand in only the one that counts.",
                zh=f"zip 里有多份答案：{names.zh}。请只提交算数的那一份。",
            )
        )


def _answers(program: Program, beside: Mapping[str, Program], asked: Sequence[str]) -> int:
    """How many of the asked names there are."""
    lookup = Lookup(program, beside)
    return sum(1 for name in asked if lookup.missing(name) is None)


def _notebook(entry: Entry) -> bool:
    return entry.path.lower().endswith(".ipynb")


def _folder(entry: Entry) -> str:
    return entry.path.rpartition("/")[0]
