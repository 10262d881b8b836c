"""`grader top`: what the service does now, for people on a shell. It reads the database; no request is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from grader import __version__, terminal
from grader.cli_output import one_line, opened_store
from grader.errors import StoreError, UsageError
from grader.reports import Language

if TYPE_CHECKING:
    from grader.service.overview import Overview, Recent, Running
    from grader.store.engine import Store
    from grader.store.models import Worker

app = typer.Typer()
_Item = TypeVar("_Item")

_LOOK_S = 1.0
_WIDTH = 80
_REPORTS = 50  # at most, on a high terminal
_FRAME_ROWS = 13  # the head, headings, empty lines, and one to say that nobody grades
_OLD_S = 60.0  # a job that waits for longer is shown in red, as the alert of deploy/grafana has it
_SAY: dict[str, dict[Language, str]] = {
    "queue": {"en": "Queue", "zh": "队列"},
    "waiting": {"en": "waiting", "zh": "等待"},
    "running": {"en": "running", "zh": "正在评分"},
    "given_up": {"en": "given up", "zh": "已放弃"},
    "oldest": {"en": "oldest", "zh": "最久"},
    "minute": {"en": "Last minute", "zh": "最近一分钟"},
    "uploads": {"en": "uploads", "zh": "提交"},
    "reports": {"en": "reports", "zh": "报告"},
    "faults": {"en": "our faults", "zh": "系统出错"},
    "workers": {"en": "Workers", "zh": "评分进程"},
    "alive": {"en": "alive", "zh": "在线"},
    "slots": {"en": "slots", "zh": "并发"},
    "worker": {"en": "worker", "zh": "进程"},
    "mode": {"en": "mode", "zh": "模式"},
    "runtimes": {"en": "runtimes", "zh": "运行环境"},
    "version": {"en": "version", "zh": "版本"},
    "seen": {"en": "seen", "zh": "心跳"},
    "gradings": {"en": "Gradings", "zh": "正在评分"},
    "submission": {"en": "submission", "zh": "提交编号"},
    "assignment": {"en": "assignment", "zh": "作业"},
    "try": {"en": "try", "zh": "次数"},
    "checks": {"en": "checks", "zh": "检查"},
    "age": {"en": "age", "zh": "已用时"},
    "last": {"en": "Last reports", "zh": "最近的报告"},
    "at": {"en": "at", "zh": "时间"},
    "status": {"en": "status", "zh": "状态"},
    "score": {"en": "score", "zh": "得分"},
    "seconds": {"en": "seconds", "zh": "秒"},
    "ends": {"en": "ends", "zh": "停止"},
    "none_alive": {"en": "No worker is alive, so nothing is graded.", "zh": "没有在线的评分进程，提交不会被评分。"},
    "more": {"en": "and {} more", "zh": "还有 {} 个"},
    "regrade": {"en": "regrade", "zh": "重评"},
    "reused": {"en": "reused", "zh": "沿用"},
    "unreachable": {"en": "The database does not answer: {}", "zh": "数据库没有响应：{}"},
    "leave": {"en": "Ctrl-C leaves", "zh": "按 Ctrl-C 退出"},
    "graded": {"en": "graded", "zh": "已评分"},
    "not_gradable": {"en": "not gradable", "zh": "无法评分"},
    "grader_error": {"en": "our fault", "zh": "系统出错"},
}


class Lang(StrEnum):
    en = "en"
    zh = "zh"


@app.command()
def top(
    once: Annotated[bool, typer.Option("--once", help="Print one look and end.")] = False,
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the words.")] = Lang.en,
) -> None:
    """Show what the service does now: queue, workers, gradings that run, last reports. Looks every second.

    Ctrl-C ends it with exit code 0. 2: there is no database. 4: it has another schema.
    """
    out = terminal.console()
    words: Language = lang.value
    with opened_store() as store:
        if once or not out.is_terminal:
            out.print(frame(look(store), words, rows=max(_FRAME_ROWS + 20, out.height)))
            return
        _live(Console(), lambda rows: _screen(store, words, rows))


def _live(out: Console, draw: Callable[[int], RenderableType]) -> None:
    """Draws anew each second until Ctrl-C, on the terminal's other screen."""
    with Live(console=out, screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(draw(out.height), refresh=True)
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            return


def _screen(store: Store, lang: Language, rows: int) -> RenderableType:
    """A frame, or why there is none: a database that comes back is seen again."""
    try:
        return frame(look(store), lang, rows=rows, live=True)
    except (StoreError, UsageError) as error:
        return Text(_SAY["unreachable"][lang].format(one_line(str(error))), style="red")


def look(store: Store) -> Overview:
    """The service as its database shows it. Raises StoreError."""
    from grader.queue.rows import JobRows
    from grader.service import overview

    now = datetime.now(UTC)
    with store.read() as session:
        return overview.look(session, JobRows().depth(session), now, reports=_REPORTS)


# The frame ---------------------------------------------------------------------------------------------------------


def frame(seen: Overview, lang: Language, *, rows: int, live: bool = False) -> RenderableType:
    """One look in 80 columns and at most so many rows."""
    say = {key: words[lang] for key, words in _SAY.items()}
    left = max(4, rows - _FRAME_ROWS)
    workers, left = _cut(seen.workers, left // 3, left)
    running, left = _cut(seen.running, left // 2, left)
    recent = seen.recent[: max(1, left)]
    parts: list[RenderableType] = [_head(seen, say, live=live), Text()]
    parts += _part(say["workers"], _workers(workers, seen, say), len(seen.workers) - len(workers), say)
    if not seen.alive:
        parts.append(Text(say["none_alive"], style="bold red"))
    if running:
        parts += [Text(), *_part(say["gradings"], _running(running, say), len(seen.running) - len(running), say)]
    if recent:
        parts += [Text(), *_part(say["last"], _recent(recent, say), 0, say)]
    return Group(*parts)


def _cut(items: tuple[_Item, ...], most: int, left: int) -> tuple[tuple[_Item, ...], int]:
    """The first of them, and the rows that are left; where some are left out, a row says so."""
    kept = items if len(items) <= most else items[: max(1, most - 1)]
    return kept, left - len(kept) - (len(kept) < len(items))


def _head(seen: Overview, say: dict[str, str], *, live: bool) -> RenderableType:
    first = Table.grid(expand=False)
    first.width = _WIDTH
    first.add_column()
    first.add_column(justify="right")
    first.add_row(Text(f"Grader {__version__}", style="bold"), f"{say['leave'] if live else ''}  {_clock(seen.at)}")
    depth = seen.depth
    queue = Text.assemble(
        (say["queue"], "bold"), f"  {say['waiting']} {depth.queued}  {say['running']} {depth.running}  ",
        (f"{say['given_up']} {depth.failed}", "red" if depth.failed else ""), "  ",
        (f"{say['oldest']} {span(depth.oldest_s)}" if depth.queued else "", "red" if depth.oldest_s > _OLD_S else ""),
    )  # fmt: skip
    minute = Text.assemble(
        (say["minute"], "bold"), f"  {say['uploads']} {seen.uploads}  {say['reports']} {seen.graded}  ",
        (f"{say['faults']} {seen.faults}", "red" if seen.faults else ""),
    )  # fmt: skip
    return Group(first, queue, minute)


def _part(title: str, table: Table, more: int, say: dict[str, str]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(title, style="bold"), table]
    return [*parts, Text("  " + say["more"].format(more), style="dim")] if more > 0 else parts


def _table(*columns: tuple[str, int, bool]) -> Table:
    """columns: (heading, cells, whether its numbers stand at the right). 80 cells with two between columns."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    for heading, cells, right in columns:
        table.add_column(heading, width=cells, no_wrap=True, overflow="ellipsis", justify="right" if right else "left")
    return table


def _workers(workers: tuple[Worker, ...], seen: Overview, say: dict[str, str]) -> Table:
    table = _table(
        (say["worker"], 20, False), (say["mode"], 4, False), (say["runtimes"], 25, False), (say["slots"], 5, True),
        (say["version"], 7, False), (say["seen"], 7, True),
    )  # fmt: skip
    for worker in workers:
        silent = worker not in seen.alive
        weak = worker.mode not in ("A", "B")
        ends = worker.detail.get("assignments") == {}  # it was told to stop, so others need not leave it any job
        slots = say["ends"] if ends else one_line(worker.detail.get("slots", ""))
        table.add_row(
            short(worker.name, 20), Text(worker.mode or "-", style="red" if weak else ""),
            one_line(worker.detail.get("runtimes", [])), slots,
            one_line(worker.detail.get("version", "")),
            Text(span((seen.at - worker.seen_at).total_seconds()), style="red" if silent else ""),
            style="dim" if silent else "",
        )  # fmt: skip
    return table


def _running(running: tuple[Running, ...], say: dict[str, str]) -> Table:
    table = _table(
        (say["submission"], 10, True), (say["assignment"], 24, False), (say["try"], 4, True), (say["checks"], 6, True),
        (say["worker"], 18, False), (say["age"], 8, True),
    )  # fmt: skip
    for one in running:
        table.add_row(
            str(one.submission_id), one_line(one.assignment), str(one.attempt), str(one.checks), short(one.worker, 18),
            Text(span(one.age_s), style="red" if one.age_s > _OLD_S else ""),
        )  # fmt: skip
    return table


def _recent(recent: tuple[Recent, ...], say: dict[str, str]) -> Table:
    table = _table(
        (say["at"], 8, False), (say["submission"], 10, True), (say["assignment"], 20, False),
        (say["status"], 12, False), (say["score"], 11, True), (say["seconds"], 9, True),
    )  # fmt: skip
    for one in recent:
        score = f"{one.score:g} / {one.max_score:g}" if one.status == "graded" else ""
        seconds = say["reused"] if one.seconds is None else f"{one.seconds:.2f}"
        status = say["regrade"] if one.regrade and one.status == "graded" else say.get(one.status, one.status)
        table.add_row(
            _clock(one.at), str(one.submission_id), one_line(one.assignment),
            Text(status, style="red" if one.status == "grader_error" else ""), score, seconds,
        )  # fmt: skip
    return table


def short(worker: str, cells: int) -> str:
    """host:pid of a worker's name; of a long one its end, in which the containers of a cluster differ."""
    host, _, pid = (worker.rpartition(":")[0] or worker).rpartition(":")
    name = one_line(f"{host.partition('/')[0]}:{pid}" if host else pid)
    return name if len(name) <= cells else "…" + name[1 - cells :]


def span(seconds: float) -> str:
    """5 s, 3 min, 2 h."""
    for size, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if seconds < 120 * size or unit == "h":
            return f"{max(0.0, seconds) / size:.0f} {unit}"
    return ""


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%H:%M:%S")
