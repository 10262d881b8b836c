"""Turns text into a tree, or into words about why it is not Python.

`ast.parse` never runs anything, but hostile text can exhaust its stack or take quadratic time. The number of
tokens is bounded before it is called, and what it raises for deep nesting is caught here. Nothing may compile the
tree in this process: the compiler recurses on long comprehensions until the process dies.
"""

from __future__ import annotations

import ast
import re
import threading
import unicodedata
import warnings
from dataclasses import dataclass

from grader.intake.source import UploadLimits, printable
from grader.reports import Text

_MAX_GENERATORS = 50  # `for` clauses of one comprehension; some thousands would kill the compiler in the sandbox
_TOKEN = re.compile(r"\w+|[^\w\s]")
_PYTHON_2 = re.compile(r"\s*(print|exec)\s+[^\s=(.,)\]]|\s*except\s+[\w.]+\s*,\s*\w+\s*:|\s*raise\s+\w+\s*,")
_FILTERS = threading.Lock()  # the warning filters are one per process, not per thread

_TOO_DEEP = Text(
    en="the code is nested too deeply to be read. Break the long expression into several lines",
    zh="代码嵌套太深，无法解析。请把这个过长的表达式拆成几行",
)
_PYTHON_2_TEXT = Text(
    en="this is Python 2 code. The grader runs Python 3: write print(...) with parentheses",
    zh="这是 Python 2 的写法。评分使用 Python 3，请写成带括号的 print(...)",
)
# What CPython says, as the start of its sentence, and how a Chinese-speaking teacher would say it.
_CHINESE = (
    ("invalid syntax. Perhaps you forgot a comma", "语法错误，可能漏了一个逗号"),
    ("invalid syntax. Maybe you meant '=='", "语法错误，这里也许应该用 == 而不是 ="),
    ("invalid syntax", "语法错误"),
    ("expected ':'", "这里缺少冒号"),
    ("expected an indented block", "这一行之前的语句需要一个缩进的代码块"),
    ("unexpected indent", "这一行不应该缩进"),
    ("unindent does not match", "这一行的缩进和前面任何一层都对不上"),
    ("inconsistent use of tabs", "缩进里混用了制表符和空格"),
    ("unterminated triple-quoted string", "三引号字符串没有结束"),
    ("unterminated string literal", "字符串的引号没有闭合"),
    ("unterminated f-string", "f 字符串的引号没有闭合"),
    ("EOL while scanning", "字符串的引号没有闭合"),
    ("invalid character", "这里有一个 Python 不认识的字符，可能是中文标点"),
    ("invalid non-printable character", "这里有一个看不见的特殊字符，请删掉重新输入"),
    ("cannot assign to", "等号左边不能赋值"),
    ("unexpected EOF", "代码还没写完就结束了"),
    ("unexpected character after line continuation", "反斜杠后面不能再有其他字符"),
    ("invalid decimal literal", "数字写法不对，或者名字以数字开头"),
    ("too many nested parentheses", "括号嵌套太深"),
    ("positional argument follows keyword", "位置参数不能放在关键字参数之后"),
)
_NEVER_CLOSED = re.compile(r"'(.)' was never closed")
_UNMATCHED = re.compile(r"unmatched '(.)'|closing parenthesis '(.)' does not match")


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """Why a text is not a program. Lines and columns count from 1; `reason` has no full stop."""

    line: int
    column: int
    reason: Text


def parse(text: str) -> ast.Module | Flaw:
    """The tree of `text`, or what is wrong with it. Quiet: what Python would warn about is not shown."""
    try:
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        return _flaw(text, error)
    except (RecursionError, MemoryError):
        return Flaw(line=1, column=1, reason=_TOO_DEEP)
    except ValueError as error:  # NUL and lone surrogates are refused earlier; this is the net under them
        return Flaw(line=1, column=1, reason=Text(en=printable(str(error)), zh=printable(str(error))))
    if text.count("for") + text.count("if") <= _MAX_GENERATORS:
        return tree
    for node in ast.walk(tree):
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            clauses = len(node.generators) + sum(len(g.ifs) for g in node.generators)
            if clauses > _MAX_GENERATORS:
                return Flaw(line=node.lineno, column=node.col_offset + 1, reason=_TOO_DEEP)
    return tree


def too_long(text: str, limits: UploadLimits) -> Text | None:
    """What makes `text` too much code to read, or None."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.code_bytes:
        mib = limits.code_bytes / (1 << 20)
        return Text(en=f"it holds more than {mib:g} MiB of code", zh=f"代码超过了 {mib:g} MiB")
    if text.count("\n") + 1 > limits.code_lines:
        return Text(en=f"it has more than {limits.code_lines} lines of code", zh=f"代码超过了 {limits.code_lines} 行")
    if token_count(text) > limits.code_tokens:
        return Text(
            en=f"its code has more than {limits.code_tokens} words and symbols",
            zh=f"代码里的词和符号超过了 {limits.code_tokens} 个",
        )
    return None


def token_count(text: str) -> int:
    """Words and symbols, comments and strings included: an upper bound that needs no tokenizer."""
    return sum(1 for _ in _TOKEN.finditer(text))


def snippet(line: str, column: int) -> str:
    """The line with a caret under the column (from 1), cropped to what fits a screen."""
    start = max(0, column - 60) if len(line) > 90 else 0
    shown = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in line[start : start + 90])
    before = shown[: max(0, min(column - 1 - start, len(shown)))]
    # a caret stays under its character only if the padding is as wide as what it stands for
    pad = "".join("\u3000" if unicodedata.east_asian_width(c) in "WF" else " " for c in before)
    return f"    {shown}\n    {pad}^"


def _flaw(text: str, error: SyntaxError) -> Flaw:
    lines = text.split("\n")
    line = min(max(error.lineno or 1, 1), len(lines))
    column = min(max(error.offset or 1, 1), len(lines[line - 1]) + 1)
    if error.msg.startswith("Missing parentheses in call to") or _PYTHON_2.match(lines[line - 1]):
        return Flaw(line=line, column=column, reason=_PYTHON_2_TEXT)
    return Flaw(line=line, column=column, reason=_reason(printable(error.msg, 160)))


def _reason(message: str) -> Text:
    if found := _NEVER_CLOSED.match(message):
        return Text(en=message, zh=f"这里的 {found[1]} 没有闭合")
    if found := _UNMATCHED.match(message):
        return Text(en=message, zh=f"多了一个 {found[1] or found[2]}，或者括号不配对")
    for start, chinese in _CHINESE:
        if message.startswith(start):
            return Text(en=message, zh=chinese)
    return Text(en=message, zh=f"语法错误（Python 的提示：{message}）")
