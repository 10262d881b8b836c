"""The code cells of a notebook in format 4. Outputs, metadata and attachments are skipped over, never looked at.

Written on `json` alone: the format needed here is four keys, and what json does with hostile text is bounded below.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from grader.errors import NotGradable
from grader.intake.source import UploadLimits, printable
from grader.reports import Text

_AGAIN: Final = Text(
    en="Save it in Jupyter, or download it again from where you wrote it, and upload that.",
    zh="请在 Jupyter 中重新保存，或从编写的地方重新下载，然后上传。",
)
_MERGE: Final = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)


class _Refused(ValueError):
    """What the JSON holds is not what a notebook holds."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


def looks_like_notebook(text: str) -> bool:
    """Whether a text that was given as a script is a notebook. A dict literal in a script is no notebook."""
    return text.lstrip()[:1] == "{" and '"nbformat"' in text and '"cells"' in text


def code_cells(name: str, text: str, limits: UploadLimits) -> list[str]:
    """The text of every code cell in order. Raises NotGradable."""
    if text.lstrip()[:1] != "{":
        raise NotGradable(
            Text(
                en=f"{name} is not a notebook: it does not start the way notebooks do. If it is a Python script, "
                "rename it so that it ends in .py and upload it again.",
                zh=f"{name} 不是笔记本：它的开头不符合笔记本的格式。"
                "如果它是 Python 脚本，请把扩展名改成 .py 后重新上传。",
            )
        )
    try:
        return _cells(_load(text, limits))
    except _Refused as error:
        raise NotGradable(Text(en=f"{name}:", zh=f"{name}：") + error.text + _AGAIN) from None


def _load(text: str, limits: UploadLimits) -> Any:
    too_big = _Refused(Text(en="the notebook is too complex to be read.", zh="这个笔记本的结构太复杂，无法读取。"))
    if text.count("{") + text.count("[") > limits.json_containers:
        raise too_big
    try:
        # numbers only matter as the format version, and turning 10^5 digits into one is quadratic
        return json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_int=lambda digits: int(digits) if len(digits) < 10 else 0,
            parse_float=lambda _: 0.0,
            parse_constant=lambda _: None,
        )
    except json.JSONDecodeError as error:
        if _MERGE.search(text):
            raise _Refused(
                Text(
                    en="git has left conflict marks (<<<<<<<) in the file. Resolve the conflict first.",
                    zh="文件里有 git 合并冲突的标记（<<<<<<<）。请先解决冲突。",
                )
            ) from None
        raise _Refused(
            Text(
                en=f"the file is damaged or was cut off: it is not valid JSON at line {error.lineno}, "
                f"column {error.colno}.",
                zh=f"文件已损坏或不完整：第 {error.lineno} 行第 {error.colno} 列不是有效的 JSON。",
            )
        ) from None
    except (RecursionError, MemoryError):
        raise too_big from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = printable(next(key for key in found if keys.count(key) > 1), 40) if len(keys) < 1000 else "?"
        raise _Refused(
            Text(en=f'the key "{twice}" is there twice in the same place.', zh=f"同一处出现了两个相同的键 “{twice}”。")
        )
    return found


def _cells(tree: Any) -> list[str]:
    version = tree.get("nbformat") if isinstance(tree, dict) else None
    if type(version) is not int:
        raise _Refused(Text(en="the file is JSON, but it is not a notebook.", zh="这个文件是 JSON，但不是笔记本。"))
    if version != 4:
        raise _Refused(
            Text(
                en=f"the notebook is in format {version}, and the grader reads format 4.",
                zh=f"这个笔记本是第 {version} 版格式，评分程序只读取第 4 版。",
            )
        )
    cells = tree.get("cells")
    if not isinstance(cells, list):
        raise _Refused(Text(en="the notebook has no list of cells.", zh="这个笔记本里没有单元列表。"))
    texts: list[str] = []
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, dict):
            raise _Refused(Text(en=f"item {number} is not a cell.", zh=f"第 {number} 项不是单元。"))
        if cell.get("cell_type") == "code":
            texts.append(_source(cell.get("source"), len(texts) + 1))
    return texts


def _source(source: Any, number: int) -> str:
    if isinstance(source, str):
        return source
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        return "".join(source)
    raise _Refused(Text(en=f"code cell {number} holds no text.", zh=f"第 {number} 个代码单元里不是文本。"))
