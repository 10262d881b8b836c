"""From uploaded bytes to a flat program. The bytes are decoded and parsed, never written, imported or run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from grader.errors import NotGradable
from grader.intake.archive import Entry, is_zip, unpack
from grader.intake.choosing import choose
from grader.intake.magics import CleanCell, Dropped, clean
from grader.intake.notebook import code_cells, looks_like_notebook
from grader.intake.source import (
    DEFAULT_LIMITS,
    BrokenCell,
    Origin,
    Source,
    Submission,
    UploadLimits,
    display_name,
    place_of,
    printable,
)
from grader.intake.syntax import snippet, token_count, too_long
from grader.reports import LeftOut, Text

_WHY = {
    Dropped.MAGIC: Text(en="a notebook command, not Python", zh="这是笔记本命令，不是 Python 代码"),
    Dropped.CELL_MAGIC: Text(en="a cell for another program than Python", zh="这个单元不是普通的 Python 代码"),
}
_FORM_FEED = re.compile(r"(?m)^[ \t]*\f[ \t\f]*?(?=[^ \t\f]|[ \t]*$)")


def read_upload(file: str, data: bytes, asked: Sequence[str], limits: UploadLimits = DEFAULT_LIMITS) -> Submission:
    """Read a .py, .ipynb or .zip. In a zip, the main program is the one that defines most of `asked`.

    Raises NotGradable, with words for the student, when there is no program that can be read.
    """
    name = display_name(file)
    if len(data) > limits.upload_bytes:
        mib = limits.upload_bytes / (1 << 20)
        raise NotGradable(
            Text(
                en=f"{name} is larger than {mib:g} MiB. Clear the outputs of the notebook, or leave data files out.",
                zh=f"{name} 超过了 {mib:g} MiB。请清除笔记本的输出，或者去掉数据文件后再上传。",
            )
        )
    if not data:
        raise NotGradable(
            Text(en=f"{name} is empty. Save your work and upload it again.", zh=f"{name} 是空文件。请保存后重新上传。")
        )
    digest = hashlib.sha256(data).hexdigest()
    kind = name.lower().rpartition(".")[2] if "." in name else ""
    if kind == "zip":
        return _read_zip(name, data, digest, asked, limits)
    if kind not in ("py", "ipynb"):
        raise NotGradable(
            Text(
                en=f"{name} is not a .py, .ipynb or .zip file. Upload the notebook or the script itself.",
                zh=f"{name} 不是 .py、.ipynb 或 .zip 文件。请上传笔记本或脚本本身。",
            )
        )
    source = read_source(name, data, limits)
    if source.broken and kind == "py":
        raise NotGradable(source.broken[0].message)
    return Submission(file=name, digest=digest, source=source)


def read_source(name: str, data: bytes, limits: UploadLimits, *, zipped: bool = False) -> Source:
    """One notebook or script as a flat program. Raises NotGradable."""
    _sniff(name, data)
    text = _decode(name, data)
    notebook = name.lower().endswith(".ipynb")
    if not notebook and looks_like_notebook(text):
        raise NotGradable(
            Text(
                en=f"{name} holds a notebook, not a script. Rename it so that it ends in .ipynb and upload it again.",
                zh=f"{name} 里面其实是一个笔记本，不是脚本。请把扩展名改成 .ipynb 后重新上传。",
            )
        )
    cells = code_cells(name, text, limits) if notebook else [text]
    cells = [_normalised(cell) for cell in cells]
    _check_text(name, cells, notebook, limits)
    if not any(line.strip() and not line.lstrip().startswith("#") for cell in cells for line in cell.split("\n")):
        raise NotGradable(
            Text(
                en=f"{name} has no code in it. Save your work and upload it again.",
                zh=f"{name} 里没有代码。请保存后重新上传。",
            )
        )
    return _flatten(name, cells, notebook, zipped)


def _read_zip(name: str, data: bytes, digest: str, asked: Sequence[str], limits: UploadLimits) -> Submission:
    entries, left_out = unpack(name, data, limits)
    sources: dict[Entry, Source] = {}
    notes: list[Text] = []
    failure: NotGradable | None = None
    code = 0
    # the limits of one file hold for all files together, or two hundred small ones would take minutes
    if sum(e.data.count(b"{") + e.data.count(b"[") for e in entries) > limits.json_containers:
        raise _too_much(name)
    for entry in entries:
        try:
            source = read_source(display_name(entry.path), entry.data, limits, zipped=True)
        except NotGradable as error:  # one unreadable file does not spoil the others
            failure = failure or error
            notes.append(error.text)
            continue
        sources[entry] = source
        code += token_count(source.text)
        if code > limits.code_tokens:
            raise _too_much(name)
    if not sources:
        raise failure or NotGradable(
            Text(
                en=f"{name} holds no notebook (.ipynb) and no script (.py). Add yours and upload it again.",
                zh=f"{name} 里没有笔记本（.ipynb）也没有脚本（.py）。请加进去后重新上传。",
            )
        )
    choice = choose(sources, asked)
    if choice.main.broken and choice.main.name.lower().endswith(".py"):
        raise NotGradable(choice.main.broken[0].message)
    return Submission(
        file=name,
        digest=digest,
        source=choice.main,
        modules=choice.modules,
        left_out=left_out,
        notes=(*notes, *choice.notes),
    )


def _too_much(name: str) -> NotGradable:
    return NotGradable(
        Text(
            en=f"{name} holds too much code. Zip only the files of this homework.",
            zh=f"{name} 里的代码太多。请只打包这次作业的文件。",
        )
    )


def _sniff(name: str, data: bytes) -> None:
    head = data[:512].lstrip().lower()
    if is_zip(data):
        what = Text(en="a zip archive. Rename it so that it ends in .zip", zh="一个 zip 压缩包。请把扩展名改成 .zip")
    elif head.startswith(b"%pdf"):
        what = Text(en="a PDF. Upload the notebook or script itself", zh="PDF 文件。请上传笔记本或脚本本身")
    elif head.startswith((b"<!doctype html", b"<html")):
        what = Text(
            en="a web page. Download the notebook itself (the raw file)",
            zh="一个网页。请下载笔记本文件本身（raw 文件）",
        )
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        what = Text(en="text saved as UTF-16. Save it as UTF-8", zh="以 UTF-16 保存的文本。请另存为 UTF-8")
    else:
        return
    raise NotGradable(
        Text(en=f"{name} is {what.en} and upload it again.", zh=f"{name} 实际上是{what.zh}，然后重新上传。")
    )


def _decode(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        try:
            data.decode("gb18030")
            guess = Text(en=" It looks as if it was saved as GBK.", zh="看起来它是以 GBK 编码保存的。")
        except UnicodeDecodeError:
            guess = Text(en="", zh="")
        raise NotGradable(
            Text(
                en=f"{name} is not UTF-8 text: byte {error.start}, on line {line}, does not fit.{guess.en} "
                "Save it as UTF-8 in your editor and upload it again.",
                zh=f"{name} 不是 UTF-8 编码：第 {line} 行（第 {error.start} 字节）无法识别。{guess.zh}"
                "请在编辑器里另存为 UTF-8 后重新上传。",
            )
        ) from None


def _normalised(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    # Python counts indentation afresh after a form feed, so dropping what leads up to it changes nothing
    return _FORM_FEED.sub("", text) if "\f" in text else text


def _check_text(name: str, cells: list[str], notebook: bool, limits: UploadLimits) -> None:
    for number, cell in enumerate(cells, start=1):
        bad = next((i for i, c in enumerate(cell) if c == "\0" or "\ud800" <= c <= "\udfff"), -1)
        if bad >= 0:
            at = Origin(file=name, cell=number if notebook else None, line=cell.count("\n", 0, bad) + 1).say()
            raise NotGradable(
                Text(
                    en=f"{name}, {at.en}: there is a character that Python code cannot hold. Delete that line, "
                    "type it again and upload the file.",
                    zh=f"{name} {at.zh}：有一个 Python 代码里不允许的字符。请删掉这一行重新输入，然后再上传。",
                )
            )
    if (why := too_long("\n".join(cells), limits)) is not None:
        raise NotGradable(
            Text(
                en=f"{name} is too long: {why.en}. Load data from a file instead of typing it into the code.",
                zh=f"{name} 太长：{why.zh}。请从文件读取数据，不要把数据写进代码。",
            )
        )


def _flatten(name: str, cells: list[str], notebook: bool, zipped: bool) -> Source:
    lines: list[str] = []
    origins: list[Origin] = []
    left_out: list[LeftOut] = []
    broken: list[BrokenCell] = []
    for number, text in enumerate(cells, start=1):
        raw = text.split("\n")
        cell = clean(raw)
        here = [
            Origin(file=name, cell=number if notebook else None, line=i, zipped=zipped) for i in range(1, len(raw) + 1)
        ]
        left_out += _dropped(raw, cell, here)
        if cell.flaw is not None:
            broken.append(_broken(name, text, raw, cell, here))
        lines += cell.lines
        origins += here
    return Source(
        name=name, text="\n".join(lines), origins=tuple(origins), left_out=tuple(left_out), broken=tuple(broken)
    )


def _dropped(raw: list[str], cell: CleanCell, here: list[Origin]) -> list[LeftOut]:
    """One entry per run of neighbouring lines that were blanked."""
    entries: list[LeftOut] = []
    runs: list[list[int]] = []
    for gap in cell.gaps:
        if runs and gap.first == runs[-1][1] + 1:
            runs[-1][1] = gap.last
        else:
            runs.append([gap.first, gap.last])
    why = _WHY[cell.gaps[0].why] if cell.gaps else None
    for first, last in runs:
        assert why is not None
        what = printable(raw[first - 1].strip(), 60)
        entries.append(LeftOut(where=place_of(here[first - 1], here[last - 1]), what=what, why=why))
    return entries


def _broken(name: str, text: str, raw: list[str], cell: CleanCell, here: list[Origin]) -> BrokenCell:
    flaw = cell.flaw
    assert flaw is not None
    origin = here[flaw.line - 1]
    at = origin.say()
    if origin.zipped:
        at = Text(en=at.en, zh=f" {at.zh}")
    elif origin.cell is None:
        at = Text(en=f"{name}, {at.en}", zh=f" {name} {at.zh}")
    shown = snippet(raw[flaw.line - 1], flaw.column)
    message = Text(
        en=f"Python cannot read {at.en}: {flaw.reason.en}.\n{shown}\nCorrect it and upload the file again.",
        zh=f"Python 读不懂{at.zh}：{flaw.reason.zh}。\n{shown}\n请修改后重新上传。",
    )
    return BrokenCell(origin=origin, message=message, text=text)
