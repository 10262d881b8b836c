"""Every sentence that a student reads about a check, in English and Chinese, in one place.

Plain sentences to "you": what is the case, where, and what to do. No blame, no exclamation marks. Values, names and
code of students are quoted as they are; nothing here decides anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from grader.numerics import Difference, Flaw
from grader.reports import Text
from grader.sandbox.child import Reason, clean_text
from grader.sandbox.limits import CheckLimits
from grader.sandbox.wire import Handle, Tensor


def number(x: Any) -> str:
    """A number as people write it: six significant digits, no trailing zeros."""
    if isinstance(x, (complex, np.complexfloating)):
        return f"{complex(x):.6g}"
    return f"{float(x):.6g}"


def shape(value: Any) -> str:
    dims = value if isinstance(value, tuple) else np.shape(value)
    return "(" + ", ".join(map(str, dims)) + ("," if len(dims) == 1 else "") + ")"


def _named(what: str) -> tuple[str, str]:
    return (f"{what} ", f"{what} ") if what else ("the result ", "结果")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith(("the ", "it ")) else text


def kind_of(value: Any) -> tuple[str, str]:
    """What a value is, for people."""
    if isinstance(value, Tensor):
        return "a tensor", "张量"
    if isinstance(value, np.ndarray):
        return f"an array of shape {shape(value)}", f"形状为 {shape(value)} 的数组"
    if value is None:
        return "None", "None"
    if isinstance(value, Handle) or hasattr(value, "kind"):
        kind = clean_text(str(value.kind), 100)
        return f"an object of type {kind}", f"类型为 {kind} 的对象"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}", f"{len(value)} 个元素的 {type(value).__name__}"
    return f"a {type(value).__name__}", f"{type(value).__name__} 类型的值"


def difference(found: Difference, what: str) -> Text:
    """The first thing that is wrong with a value."""
    en, zh = _named(what)
    want = found.expected
    if found.flaw is Flaw.NOTHING:
        return Text(
            en=_capital(f"{en}is None. Is a return statement missing?"), zh=f"{zh}是 None，是不是漏写了 return？"
        )
    if found.flaw is Flaw.NOT_ARRAY:
        is_en, is_zh = kind_of(found.got)
        return Text(
            en=_capital(f"{en}is {is_en}, where numbers of shape {shape(want)} are asked for."),
            zh=f"{zh}是{is_zh}，题目要求形状为 {shape(want)} 的数值。",
        )
    if found.flaw is Flaw.SHAPE:
        return _shapes(found, en, zh)
    if found.flaw is Flaw.DTYPE:
        return Text(
            en=_capital(f"{en}has dtype {found.got.dtype}, where {want.dtype} is asked for."),
            zh=f"{zh}的 dtype 是 {found.got.dtype}，题目要求 {want.dtype}。",
        )
    assert found.worst is not None
    have, must = found.got[found.worst.index], want[found.worst.index]
    at_en = f" at index {list(found.worst.index)}" if found.worst.index else ""
    at_zh = f"在下标 {list(found.worst.index)} 处" if found.worst.index else ""
    if not np.isfinite(have):
        return Text(
            en=_capital(f"{en}is {number(have)}{at_en}, expected {number(must)}."),
            zh=f"{zh}{at_zh}是 {number(have)}，应为 {number(must)}。",
        )
    off = number(found.worst.difference)
    return Text(
        en=_capital(f"{en}is {number(have)}{at_en}, expected {number(must)} (off by {off})."),
        zh=f"{zh}{at_zh}是 {number(have)}，应为 {number(must)}（相差 {off}）。",
    )


def _shapes(found: Difference, en: str, zh: str) -> Text:
    have, want = np.shape(found.got), np.shape(found.expected)
    hint_en = hint_zh = ""
    if want == () and math.prod(have) > 1:
        hint_en = " One number for the whole batch is asked for: is the mean missing?"
        hint_zh = "题目要求整个批次得到一个数，是不是漏了求平均？"
    elif want == ():
        hint_en = " It is one number in brackets: leave keepdims out, or take the mean without an axis."
        hint_zh = "它是一个带括号的数：请去掉 keepdims，或者不指定 axis 求平均。"
    elif have == want[::-1]:
        hint_en, hint_zh = " It looks transposed.", "看起来被转置了。"
    return Text(
        en=_capital(f"{en}has shape {shape(have)}, expected {shape(want)}.{hint_en}"),
        zh=f"{zh}的形状是 {shape(have)}，应为 {shape(want)}。{hint_zh}",
    )


def not_finite(array: Any, what: str) -> Text:
    en, zh = _named(what)
    bad = "NaN" if bool(np.any(np.isnan(array))) else "infinite"
    return Text(
        en=_capital(f"{en}has values that are {bad}. Some step overflows, or divides by or takes the log of zero."),
        zh=f"{zh}中出现了 {'NaN' if bad == 'NaN' else '无穷大'}。某一步溢出了，或者除以了 0、对 0 取了对数。",
    )


def wrong_count(value: Any, names: Sequence[str]) -> Text:
    is_en, is_zh = kind_of(value)
    listed = ", ".join(names)
    return Text(
        en=f"{len(names)} values are asked for ({listed}), but {is_en} was returned.",
        zh=f"应返回 {len(names)} 个值（{listed}），实际返回的是{is_zh}。",
    )


def wrong_form(value: Any) -> Text:
    is_en, is_zh = kind_of(value)
    return Text(
        en=f"The last value returned ({is_en}) does not have the form that this check works with.",
        zh=f"最后返回的值（{is_zh}）不符合这项检查所要求的形式。",
    )


def taylor(rate: float) -> Text:
    if not math.isfinite(rate):
        return Text(en="", zh="")
    return Text(
        en=f"(The Taylor remainder falls at rate {rate:.1f}; the true gradient gives 2.)",
        zh=f"（泰勒余项的收敛阶为 {rate:.1f}；正确的梯度应为 2。）",
    )


def modified(what: str) -> Text:
    return Text(
        en=f"Your code changes its input {what} in place. Work on a copy, or make a new array.",
        zh=f"你的代码就地修改了输入 {what}。请在副本上计算，或者新建一个数组。",
    )


# How a call ended -----------------------------------------------------------------------------------------------


def ended(reason: Reason, detail: str, call: str, limits: CheckLimits) -> Text:
    """Why the process that ran the student's code is gone."""
    name = call or "your code"
    zh_name = call or "你的代码"
    seconds = {Reason.WALL: limits.wall_s, Reason.CPU: limits.cpu_s}.get(reason, 0)
    texts = {
        Reason.WALL: (
            f"{name} did not finish within {seconds:g} s and was stopped. Is there a loop that never ends, or a sleep?",
            f"{zh_name} 在 {seconds:g} 秒内没有结束，已被停止。是否有死循环或 sleep？",
        ),
        Reason.CPU: (
            f"{name} used more than {seconds:g} s of CPU time and was stopped. Is there a loop that never ends?",
            f"{zh_name} 占用的 CPU 时间超过 {seconds:g} 秒，已被停止。是否有死循环？",
        ),
        Reason.MEMORY: (
            f"{name} needed more than {limits.memory_mib} MiB of memory and was stopped.",
            f"{zh_name} 需要的内存超过 {limits.memory_mib} MiB，已被停止。",
        ),
        Reason.OUTPUT: (
            f"{name} printed more than {limits.output_kib} KiB and was stopped. Remove prints from inner loops.",
            f"{zh_name} 打印的内容超过 {limits.output_kib} KiB，已被停止。请去掉内层循环中的打印。",
        ),
        Reason.SIGNAL: (
            f"The process that ran {name} was ended by {detail}.",
            f"运行 {zh_name} 的进程被 {detail} 终止。",
        ),
        Reason.EXITED: (
            f"The process ended without an answer while {name} ran. Remove exit() and similar calls.",
            f"{zh_name} 运行时进程退出，没有给出结果。请去掉 exit() 之类的调用。",
        ),
        Reason.PROTOCOL: (
            f"The process that ran {name} sent something that is not an answer, so it was stopped.",
            f"运行 {zh_name} 的进程发来了不是答案的内容，已被停止。",
        ),
    }
    en, zh = texts[reason]
    return Text(en=_capital_first(en), zh=zh)


def slow(
    call: str, unit: Text, rate: float, seconds: float, *, done: int | None = None, planned: int | None = None
) -> Text:
    """A training run that works but is too slow for its check. rate: units a second, measured."""
    name = call or "your code"
    came = f" after {done} of {planned} {unit.en}" if done is not None else ""
    zh_came = f"，当时完成了 {planned} {unit.zh}中的 {done}" if done is not None else ""
    return Text(
        en=f"{_capital_first(name)} was stopped after {seconds:g} s{came}: it makes {rate:.3g} {unit.en} a second. "
        "Nothing of it was wrong so far; it is too slow. Is there a Python loop over samples where one matrix product "
        "would do?",
        zh=f"{call or '你的代码'} 在 {seconds:g} 秒后被停止{zh_came}：它每秒完成 {rate:.3g} {unit.zh}。"
        "到此为止没有发现错误，只是太慢。"
        "是不是在用 Python 循环逐个处理样本？一次矩阵乘法就够了。",
    )


def _capital_first(text: str) -> str:
    return "Your" + text[4:] if text.startswith("your ") else text


# TensorFlow adds where in its own graph an operation stood, which tells a student nothing.
_NOISE = re.compile(r"\{\{function_node [^}]*\}\}|\[Op:\w+\]( name: \S*)?")


def raised(type_name: str, message: str, call: str, where: Text | None, line: str) -> Text:
    """An exception of the student's code, with the student's own line."""
    first = _cause(_NOISE.sub("", message).strip())[:300].removeprefix(f"{type_name}: ")
    said = f"{type_name}: {first}" if first else type_name
    at_en = f" in {where.en}" if where else ""
    at_zh = f"（{where.zh}）" if where else ""
    code = f": `{line.strip()[:120]}`" if line.strip() else ""
    advice = advise(type_name, message)
    text = Text(en=f"{call} raised {said}{at_en}{code}.", zh=f"{call} 抛出了 {said}{at_zh}{code}。")
    return text if advice is None else text + advice


def _cause(message: str) -> str:
    """The line that says what went wrong. TensorFlow's graphs put it last, below where the graph was made."""
    lines = [line.strip() for line in message.partition("[[{{node")[0].split("\n")]
    said = [line for line in lines if line and not set(line) <= {"^", "~", " "}]
    if said and said[0].startswith(("Graph execution error", "in user code", "Exception encountered")):
        return said[-1]
    return said[0] if said else ""


_ADVICE: tuple[tuple[str, str, Text], ...] = (
    (
        r"InvalidArgumentError|TypeError|ValueError",
        r"(expected to be a|expected \w+ tensor|is a) (double|float|int32|int64).* (but is a|tensor but|instead)|"
        r"cannot compute .* as input #|incompatible with|conflicts? with the dtype|has type .* that does not match",
        Text(
            en="TensorFlow does not mix dtypes: cast one side with tf.cast, or write 1.0 instead of 1.",
            zh="TensorFlow 不会自动混用不同的 dtype：请用 tf.cast 转换其中一边，或把 1 写成 1.0。",
        ),
    ),
    (
        r"AttributeError",
        r"module 'tensorflow' has no attribute '(log|Session|placeholder|div|to_float|random_normal)'",
        Text(
            en="That is a TensorFlow 1 name; TensorFlow 2 has it elsewhere (tf.log is tf.math.log).",
            zh="这是 TensorFlow 1 的名字，在 TensorFlow 2 中换了位置（tf.log 现在是 tf.math.log）。",
        ),
    ),
    (
        r"TypeError",
        r"unexpected keyword argument '(dims?|axes|keep_dims)'",
        Text(
            en="The keyword is called axis (and keepdims) here.",
            zh="这里的关键字参数叫 axis（以及 keepdims）。",
        ),
    ),
    (
        r"ModuleNotFoundError",
        r"No module named",
        Text(
            en="While your code is graded only Python's standard library, NumPy, TensorFlow and Matplotlib are there.",
            zh="评分时只有 Python 标准库、NumPy、TensorFlow 和 Matplotlib 可用。",
        ),
    ),
    (
        r"MemoryError|ResourceExhaustedError",
        r"",
        Text(en="It asked for more memory than a check may use.", zh="所需内存超过了一项检查的上限。"),
    ),
    (
        r"SystemExit",
        r"",
        Text(en="Remove exit() and similar calls.", zh="请去掉 exit() 之类的调用。"),
    ),
    (
        r"RecursionError",
        r"",
        Text(
            en="A function calls itself without an end. Does a helper have the same name as the function?",
            zh="函数在无止境地调用自己。是不是有辅助函数与它同名？",
        ),
    ),
    (
        r"NotImplementedError",
        r"",
        Text(en="This part is still to be written.", zh="这一部分还没有写。"),
    ),
    (
        r"OSError|BlockingIOError|PermissionError|FileNotFoundError|NotFoundError|URLError|gaierror|Connection\w*Error",
        r"",
        Text(
            en="Files, programs and the network are out of reach while your code is graded.",
            zh="评分时代码无法访问文件、其他程序和网络。",
        ),
    ),
)


def advise(type_name: str, message: str) -> Text | None:
    """One more sentence for exceptions that beginners meet."""
    for kinds, pattern, text in _ADVICE:
        if re.fullmatch(kinds, type_name) and re.search(pattern, message[:2000]):
            return text
    return None


def refused(message: str, call: str) -> Text:
    said = message.strip().rstrip(".")[:300]
    return Text(en=f"{call}: {said}.", zh=f"{call} 返回的值无法读取：{said}。")


def missing_binding(name: str, where: Text, why: str) -> Text:
    """A NameError whose cause is a statement that failed when the file was loaded."""
    return Text(
        en=f"{name} does not exist because {where.en} failed: {why}",
        zh=f"{name} 不存在，因为{where.zh}执行失败：{why}",
    )


# Rules ----------------------------------------------------------------------------------------------------------


def banned(names: Sequence[str], part: str, where: Text | None) -> Text:
    listed = ", ".join(names)
    at_en = f" ({where.en})" if where else ""
    at_zh = f"（{where.zh}）" if where else ""
    return Text(
        en=f"{part} uses {listed}{at_en}, which the sheet asks you to write yourself.",
        zh=f"{part} 使用了 {listed}{at_zh}，而题目要求自己实现。",
    )


def needs(title: Text) -> Text:
    return Text(en=f"Not run, because it builds on: {title.en}.", zh=f"没有运行，因为它以这一项为前提：{title.zh}。")


def out_of_time() -> Text:
    return Text(
        en="Not run: the time for the whole submission was used up by earlier checks.",
        zh="没有运行：前面的检查已用完整个提交的时间。",
    )


def hidden_failed() -> Text:
    return Text(en="A hidden check; its inputs are not shown.", zh="这是一项隐藏检查，不显示输入。")


def not_loaded(why: Text) -> Text:
    return Text(en=f"Your file could not be loaded. {why.en}", zh=f"你的文件无法加载。{why.zh}")


def numpy_for_tensor(names: Sequence[str]) -> Text:
    listed = ", ".join(names)
    verb = "return" if len(names) > 1 else "returns"
    return Text(
        en=f"{listed} {verb} a NumPy array where the sheet asks for a tensor. It was accepted.",
        zh=f"{listed} 返回的是 NumPy 数组，题目要求的是张量。这次按正确处理。",
    )


def same_error(count: int, said: str, where: Text, *, elsewhere: bool) -> Text:
    more_en, more_zh = (" and elsewhere", "等处") if elsewhere else ("", "")
    return Text(
        en=f"{count} checks fail for one reason, {said} in {where.en}{more_en}. Mend that first.",
        zh=f"有 {count} 项检查失败出于同一原因：{where.zh}{more_zh}的 {said}。请先改这里。",
    )


def grader_fault() -> Text:
    return Text(
        en="The grader itself failed. This costs you neither points nor an attempt; please try again.",
        zh="评分程序自身出错。不扣分，也不消耗提交次数，请再试一次。",
    )


def nothing_written(names: Sequence[str]) -> Text:
    return Text(
        en=f"Nothing is filled in yet: {', '.join(names)}. Write the bodies, save the file and upload it again.",
        zh=f"这些内容都还没有填写：{'、'.join(names)}。请写好函数体，保存后重新上传。",
    )


def given(name: str) -> Text:
    return Text(
        en=f"The sheet gives {name} complete: copy it back from the starter.",
        zh=f"题目已经给出完整的 {name}：请从起始文件中复制回来。",
    )


def statement_failed(where: Text, said: str) -> Text:
    return Text(
        en=f"The statement in {where.en} failed when your file was loaded: {said}",
        zh=f"加载文件时，{where.zh}的语句执行失败：{said}",
    )


def not_sandboxed() -> Text:
    return Text(en="NOT SANDBOXED - not for credit.", zh="未经沙箱隔离，不作为成绩。")
