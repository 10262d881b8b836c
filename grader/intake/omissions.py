"""Tells the student what was not run, and what about the file is worth knowing."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Final

from grader.intake.asked import Function, Lookup, near
from grader.intake.pieces import Kind, Piece, statements
from grader.intake.program import Closure, Program
from grader.intake.rendering import futures_kept
from grader.intake.source import Source, listed, place_of, printable
from grader.reports import LeftOut, Text

_MAX_ENTRIES: Final = 40
_MAX_TYPOS: Final = 5
_MAX_UNBOUND: Final = 30  # undefined names that are compared with the imports
_NOT_NEEDED: Final = Text(en="not needed by the functions asked for", zh="题目要求的函数用不到")
_WHY: Final = {
    Kind.FUTURE: Text(en="only works on the first line of a program", zh="只能写在程序开头"),
    Kind.IMPORT: Text(en="imports that the functions asked for do not use", zh="题目要求的函数没有用到这些导入"),
    Kind.DEFINITION: _NOT_NEEDED,
    Kind.ASSIGNMENT: _NOT_NEEDED,
    Kind.MUTATION: _NOT_NEEDED,
    Kind.CONFIGURATION: Text(
        en="a setting that the functions asked for do not need", zh="题目要求的函数不需要这个设置"
    ),
    Kind.BLOCK: Text(
        en="a block at top level that the functions asked for do not need", zh="顶层代码块，题目要求的函数用不到"
    ),
    Kind.LOOP: Text(en="a loop at top level", zh="顶层循环"),
    Kind.MAIN: Text(en="only run when the file is started as a program", zh="只有直接运行这个文件时才会执行"),
    Kind.PRINT: Text(en="prints", zh="打印输出"),
    Kind.PLOT: Text(en="plots", zh="画图"),
    Kind.CALL: Text(
        en="a call at top level; the grader calls your functions itself", zh="顶层调用；评分程序会自己调用你的函数"
    ),
    Kind.OTHER: Text(en="a statement at top level that defines nothing", zh="没有定义任何内容的顶层语句"),
}
# what is not needed is one kind for the reader, whatever statement it is
_GROUP: Final = {Kind.ASSIGNMENT: Kind.DEFINITION, Kind.MUTATION: Kind.DEFINITION}
_CONVENTIONS: Final = {
    "np": "numpy",
    "tf": "tensorflow",
    "plt": "matplotlib.pyplot",
    "nn": "torch.nn",
    "F": "torch.nn.functional",
    "pd": "pandas",
}


def left_out(program: Program, closure: Closure, source: Source) -> tuple[LeftOut, ...]:
    """Top-level pieces that are not run: neighbours of one kind as one entry, unused imports as one."""
    kept = closure.kept | futures_kept(program, closure)
    groups: list[list[Piece]] = []
    imports: list[Piece] = []
    broken_off = True
    for piece in program.pieces:
        if piece.index in kept:
            broken_off = True
        elif piece.kind is Kind.IMPORT:
            imports.append(piece)
        elif piece.kind is not Kind.NOTHING:
            if not broken_off and _group(groups[-1][0]) is _group(piece):
                groups[-1].append(piece)
            else:
                groups.append([piece])
            broken_off = False
    entries = [_entry(program, source, group) for group in groups[:_MAX_ENTRIES]]
    if imports:
        lines = listed([_first_line(program, piece) for piece in imports], 6)
        place = place_of(source.origins[imports[0].start[0]], source.origins[imports[-1].end[0]])
        entries.insert(0, LeftOut(where=place, what=lines.en, why=_WHY[Kind.IMPORT]))
    if len(groups) > _MAX_ENTRIES:
        rest = [piece for group in groups[_MAX_ENTRIES:] for piece in group]
        entries.append(_entry(program, source, rest, Text(en="many more such pieces", zh="还有许多类似的代码")))
    return tuple(entries)


def notes(
    program: Program,
    lookup: Lookup,
    closure: Closure,
    source: Source,
    asked: Sequence[str],
    explained: Mapping[str, Text],
) -> tuple[Text, ...]:
    """What a student would like to know besides the points; `explained` are the typos."""
    found = [_ignored(cell.origin.say(), cell.message) for cell in source.broken[:5]]
    for name in asked:
        if (twice := _twice(program, lookup, source, name)) is not None:
            found.append(twice)
    others = [(name, line) for name, line in _unbound(program, lookup, closure, asked) if name not in explained]
    return (*found, *explained.values(), *_undefined(source, others))


def _group(piece: Piece) -> Kind:
    return _GROUP.get(piece.kind, piece.kind)


def _entry(program: Program, source: Source, group: Sequence[Piece], why: Text | None = None) -> LeftOut:
    place = place_of(source.origins[group[0].start[0]], source.origins[group[-1].end[0]])
    return LeftOut(where=place, what=_first_line(program, group[0]), why=why or _WHY[group[0].kind])


def _first_line(program: Program, piece: Piece) -> str:
    row, column = piece.start
    end = piece.end[1] if piece.end[0] == row else None
    return printable(program.lines[row][column:end].strip(), 60)


def _ignored(at: Text, message: Text) -> Text:
    detail_en, detail_zh = message.en.partition("\n")[0], message.zh.partition("\n")[0]
    return Text(
        en=f"A part with a syntax error was ignored, because what is asked for stands elsewhere. {detail_en}",
        zh=f"有一处语法错误的代码被忽略了，因为题目要求的内容写在别处。{detail_zh}",
    )


def _twice(program: Program, lookup: Lookup, source: Source, name: str) -> Text | None:
    """A function, class or method that is defined more than once."""
    head, _, method = name.partition(".")
    if method:
        found = lookup.resolve(head)
        if found is None or found[0] is not program or not isinstance(found[1], ast.ClassDef):
            return None
        lines = [f.lineno for f in lookup.methods(found[1]).found.get(method, ())]
    else:
        pieces = [program.pieces[i] for i in program.bindings.get(head, ())]
        lines = [
            node.lineno
            for piece in pieces
            if piece.kind is Kind.DEFINITION
            for node in statements(piece.node)
            if isinstance(node, ast.ClassDef | Function)
        ]
    if len(lines) < 2:
        return None
    places = [source.origins[line - 1].say() for line in lines]
    shown = listed([p.en for p in places], 4).en, listed([p.zh for p in places], 4).zh
    text = Text(
        en=f"{name} is defined {len(lines)} times ({shown[0]}); the last one counts.",
        zh=f"{name} 定义了 {len(lines)} 次（{shown[1]}），以最后一次为准。",
    )
    if lookup.stub(name) is not None:
        text = text + Text(en="The last one is empty: delete it.", zh="最后一次是空的，请把它删掉。")
    return text


def _unbound(program: Program, lookup: Lookup, closure: Closure, asked: Sequence[str]) -> list[tuple[str, int]]:
    """Names that the slice reads and nothing binds, with the line that reads them, in the order of the lines."""
    if any(program.pieces[i].scope.stars for i in closure.kept):
        return []  # a star import may bring them
    heads = {name.partition(".")[0] for name in asked}
    found: list[tuple[str, int]] = []
    empty = [node for name in asked for where, node in [lookup.stub(name) or (None, None)] if where is program and node]
    for name, line in sorted(closure.unresolved.items(), key=lambda item: item[1]):
        if name in heads or name in program.globals or any(n.lineno <= line <= (n.end_lineno or 0) for n in empty):
            continue
        found.append((name, line))
    return found


def typos(program: Program, lookup: Lookup, closure: Closure, source: Source, asked: Sequence[str]) -> dict[str, Text]:
    """Undefined name -> what was probably meant, for names that miss an import by a few letters."""
    found: dict[str, Text] = {}
    for name, line in _unbound(program, lookup, closure, asked)[:_MAX_UNBOUND]:
        if len(found) < _MAX_TYPOS and (typo := _typo(program, source, name, line)) is not None:
            found[name] = typo
    return found


def _undefined(source: Source, others: Sequence[tuple[str, int]]) -> list[Text]:
    """The names without an explanation in one sentence."""
    found: list[Text] = []
    if others:
        places = [(name, source.origins[line - 1].say()) for name, line in others] if others[0][1] else []
        en = listed([f"{name} ({at.en})" for name, at in places], 6).en
        zh = listed([f"{name}（{at.zh}）" for name, at in places], 6).zh
        found.append(
            Text(
                en=f"Used but defined nowhere in the file: {en}. Restart the kernel and run all cells to see it.",
                zh=f"用到了但文件里没有定义：{zh}。重启内核并从头运行所有单元就能看到这个错误。",
            )
        )
    return found


def _typo(program: Program, source: Source, name: str, line: int) -> Text | None:
    """`import numpy as npm` when the code says np."""
    bound = {
        alias.asname or alias.name.partition(".")[0]: (alias.name, piece)
        for piece in program.pieces
        if isinstance(piece.node, ast.Import)
        for alias in piece.node.names
    }
    meant = next((b for b, (module, _) in bound.items() if module == _CONVENTIONS.get(name)), None)
    meant = meant or near(name, list(bound))
    if meant is None:
        return None
    piece = bound[meant][1]
    uses = [at for p in program.pieces for at in (p.reads.now.get(name), p.reads.later.get(name)) if at is not None]
    at, used = source.origins[piece.start[0]].say(), source.origins[min(uses, default=line) - 1].say()
    what = _first_line(program, piece)
    return Text(
        en=f"{name} is used ({used.en}) but not defined; {at.en} says `{what}`. Use one name in both places.",
        zh=f"用到了 {name}（{used.zh}），但没有定义；{at.zh}写的是 `{what}`。请把两处的名字改成一致。",
    )
