"""One jailed child as the grader sees it: a question goes in, a plain value or a failure comes out.

After its first student statement the child is hostile. So every read here is bounded by bytes and by a deadline, an
answer is accepted only for the question that is open, and whatever is wrong ends the child by SIGKILL through its
pidfd. How a child ended is a verdict about the student's code (`ChildEnded`), never an error of ours.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from grader.errors import SandboxError
from grader.pictures import MOST_A_CHECK, MOST_BYTES
from grader.sandbox import processes, wire
from grader.sandbox.limits import CheckLimits
from grader.sandbox.tally import LOST

KEPT_OUTPUT_BYTES = 64 << 10
_SAMPLE_S = 0.05  # how often a long call's CPU time and memory are looked at
_STOOD_STILL_S = 1.0  # between two looks at the clock only when this process itself was stopped


class Reason(StrEnum):
    """Why a child ended before it answered."""

    CPU = "cpu"
    WALL = "wall"
    MEMORY = "memory"
    OUTPUT = "output"
    SIGNAL = "signal"
    EXITED = "exited"
    PROTOCOL = "protocol"


class ChildEnded(Exception):
    """The child is gone: the limit it met, the signal it died of, or the rule of the protocol that it broke.

    step: which step of the request it was at, by its own word, or None; good enough to name a call, for nothing else.
    """

    def __init__(self, reason: Reason, detail: str = "", step: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason, self.detail, self.step = reason, detail, step


class ChildLost(SandboxError):
    """The child is gone through no fault of the student's: the check is run again in another one."""


class CallError(Exception):
    """The student's code raised. Type and message are the child's words: bounded, cleaned, never trusted.

    lines: (file stem, line number) of the student's own frames, innermost last. index: which call of an `each`.
    refused: the call returned something that is not a value. values: of the steps before.
    """

    def __init__(self, failure: dict[str, Any]) -> None:
        self.type = clean_text(_text(failure.get("type")), 100)
        self.text = clean_text(_text(failure.get("message")), 2048)
        self.lines = [
            (_text(pair[0])[:200], pair[1])
            for pair in _list(failure.get("lines"))[-20:]
            if isinstance(pair, list) and len(pair) == 2 and type(pair[1]) is int
        ]
        index = failure.get("index")
        self.index = index if type(index) is int and index >= 0 else None
        self.refused = failure.get("refused") is True
        self.used = names(failure.get("used"))
        self.values = _list(failure.get("values"))
        super().__init__(f"{self.type}: {self.text}")


def clean_text(text: str, most: int) -> str:
    """Text of unknown origin for people: bounded, and without control and direction characters."""
    kept = "".join(c for c in text[: 4 * most] if c in "\n\t" or (c.isprintable() and c not in _BIDI))
    return kept[:most]


_BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def names(value: Any) -> frozenset[str]:
    """A list of names from the child, bounded."""
    return frozenset(item[:200] for item in _list(value)[:100] if isinstance(item, str))


def _text(value: Any) -> str:
    """A text from the child; printing anything else could take longer than grading."""
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Exit:
    """How the zygote saw a child end. status: exit code, or minus the signal. cpu_s and peak_mib over its life.

    orphaned: the zygote itself ended first, which is no fault of the child's.
    """

    status: int
    cpu_s: float
    peak_mib: int
    orphaned: bool = False


class Child:
    """The grader's end of one child's three pipes and its pidfd. Used by one thread at a time."""

    def __init__(
        self,
        *,
        pidfd: int,
        job_write: int,
        job_read: int,
        out: int,
        wait_exit: Callable[[], Exit],
        set_memory: Callable[[int], None],
        budget_mib: int,
    ) -> None:
        """set_memory: limits the memory above the bare runtime, in MiB. budget_mib: the most that a check may use."""
        self.pidfd, self._write_fd, self._read_fd, self._out_fd = pidfd, job_write, job_read, out
        self._wait_exit = wait_exit
        self.pid = processes.pid_of(pidfd)
        self._set_memory, self._budget_mib, self._memory_mib = set_memory, budget_mib, budget_mib
        self.answer_limits = wire.DEFAULT_LIMITS
        self.output = bytearray()
        self.output_bytes = 0
        self.keep_output = True  # not while a hidden check runs: what it prints or draws may be its inputs
        self.pictures: list[bytes] = []  # of this check, as they came
        self.exit: Exit | None = None
        self.closers: list[Callable[[], None]] = []
        self.origin: object = None  # the zygote it was forked from
        self.memory_exceeded: Callable[[], bool] = lambda: False
        self.tell_end: Callable[[str], None] = lambda reason: None  # counts it
        self._inbox = bytearray()
        self._call_id = 0
        self._awaited = 0
        self._limits = CheckLimits()
        self._wall_left = self._limits.wall_s
        self._cpu_start: float | None = None
        self._output_start = 0
        self._out_closed = False
        self._looked = 0.0
        self._started = 0.0  # since when the open question has been sent or waited for
        self._ran = 0.0  # when the clock was looked at last
        self.stood_still_s = 0.0  # time in which this process did not run, which the child is not charged
        self._resident_mib = 0
        self._poll = select.poll()
        for fd in (self._read_fd, self._out_fd, self._write_fd):
            os.set_blocking(fd, False)
        self._poll.register(self._read_fd, select.POLLIN)
        self._poll.register(self._out_fd, select.POLLIN)

    # Limits ----------------------------------------------------------------------------------------------------

    def begin(self, limits: CheckLimits) -> None:
        """Starts the allowance of one check; its requests share it."""
        self._limits, self._wall_left, self._output_start = limits, limits.wall_s, self.output_bytes
        self.pictures = []
        self._cpu_start = None  # read at the first look: a short check never pays for it
        self._looked = self.now()
        self._limit_memory(min(limits.memory_mib, self._budget_mib))

    def _limit_memory(self, memory_mib: int) -> None:
        """Sets the soft limit of the address space through the zygote; the child itself may change none."""
        if memory_mib != self._memory_mib:
            self._set_memory(memory_mib)
            self._memory_mib = memory_mib

    def cpu_s(self) -> float:
        """CPU seconds of all threads so far, from outside. 0 when the process is gone."""
        return processes.cpu_s(self.pid)

    def resident_mib(self) -> int:
        return processes.resident_mib(self.pid)

    # Requests --------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Lets the child lock itself down: it is in its control group by now. Raises OSError when it is gone."""
        os.write(self._write_fd, b"G")

    def wait_ready(self, timeout_s: float) -> None:
        """Waits for the READY frame that follows lock-down and warm-up. Raises SandboxError, for this is ours."""
        self._wall_left = timeout_s
        self._ran = self._started = time.monotonic()
        self._limits = CheckLimits(cpu_s=timeout_s, wall_s=timeout_s)
        try:
            kind, _ = self._receive(0, (wire.READY,))
        except ChildEnded as error:
            said = clean_text(self.output.decode("utf-8", "replace"), 2000)
            raise SandboxError(f"a jailed child did not start ({error}): {said or 'it said nothing'}") from None
        assert kind == wire.READY
        self.output.clear()  # what the libraries said while warming up is not the student's
        self._resident_mib = self.resident_mib()

    def send(self, steps: list[list[Any]]) -> None:
        """One question: a list of steps. `receive` must follow before the next. Raises ChildEnded."""
        self._call_id += 1
        if self._inbox or self._poll_now():
            self._end(Reason.PROTOCOL, "it sent bytes that nobody asked for")
        self._awaited = len(steps)
        self._started = self.now()
        self._send(wire.frame(wire.REQUEST, self._call_id, wire.encode_steps(steps)))
        self._wall_left -= self.now() - self._started

    def receive(self) -> tuple[list[wire.Value], frozenset[str]]:
        """The answer: a value for every step, and the watched names that were used on the way.

        Raises CallError when the student's code raised, ChildEnded when the child had to be or was ended.
        """
        self._started = self.now()
        kind, payload = self._receive(self._call_id, (wire.RESULT, wire.ERROR))
        self._wall_left -= self.now() - self._started
        try:
            answer = wire.decode(payload, self.answer_limits)
        except wire.WireError as error:
            self._end(Reason.PROTOCOL, str(error))
        values = answer.get("values") if type(answer) is dict else None
        if type(values) is not list or (len(values) != self._awaited) is (kind == wire.RESULT):
            self._end(Reason.PROTOCOL, "an answer with a wrong number of values")
        if self.keep_output:
            sent = (png for png in _list(answer.get("pictures"))[:MOST_A_CHECK] if type(png) is bytes)
            self.pictures += [png for png in sent if len(png) <= MOST_BYTES][: MOST_A_CHECK - len(self.pictures)]
        if kind == wire.ERROR:
            raise CallError(answer)
        return values, names(answer.get("used"))

    def ask(self, operation: str, **arguments: Any) -> wire.Value:
        """One of the grader's own operations (load, begin, replay) and its value."""
        self.send([[operation, 0, None, "", [arguments], {}]])
        return self.receive()[0][0]

    def _poll_now(self) -> bool:
        self._drain_output()
        try:
            piece = os.read(self._read_fd, 1)
        except BlockingIOError:
            return False
        return bool(piece)  # end of file is seen, and explained, when the answer is read

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            view = view[os.write(self._write_fd, view) :]  # nearly every request fits the pipe at once
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._ended_by_itself()
        if not view:
            return
        self._poll.register(self._write_fd, select.POLLOUT)
        self._poll.unregister(self._read_fd)  # an early answer would be reported as readable again and again
        try:
            while view:
                self._wait()
                try:
                    view = view[os.write(self._write_fd, view[: 1 << 20]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    self._ended_by_itself()
        finally:
            self._poll.unregister(self._write_fd)
            self._poll.register(self._read_fd, select.POLLIN)

    def _receive(self, call_id: int, kinds: tuple[int, ...]) -> tuple[int, bytes]:
        """Exactly one frame for the open question; bytes after it are a breach."""
        kind, need = 0, wire.HEADER_BYTES
        header_read = False
        while True:
            if len(self._inbox) >= need:
                if header_read:
                    break
                kind, need = self._check_header(call_id, kinds)
                header_read = True
                continue
            self._wait()
            try:
                piece = os.read(self._read_fd, max(65536, need - len(self._inbox)))
            except BlockingIOError:
                continue
            if not piece:
                self._ended_by_itself()
            self._inbox += piece
        payload = bytes(memoryview(self._inbox)[wire.HEADER_BYTES : need])
        extra = len(self._inbox) - need
        self._inbox.clear()
        if extra:
            self._end(Reason.PROTOCOL, "it sent more than one answer")
        self._drain_output()
        return kind, payload

    def _check_header(self, call_id: int, kinds: tuple[int, ...]) -> tuple[int, int]:
        try:
            kind, answered, length = wire.parse_header(bytes(self._inbox[: wire.HEADER_BYTES]))
        except wire.WireError as error:
            self._end(Reason.PROTOCOL, str(error))
        if kind not in kinds or answered != call_id:
            self._end(Reason.PROTOCOL, "an answer to another question")
        if length > self.answer_limits.max_bytes:
            self._end(Reason.PROTOCOL, f"an answer of {length:,} bytes")
        return kind, wire.HEADER_BYTES + length

    def _wait(self) -> None:
        """Until something is readable or writable; charges the wall allowance and looks at the other limits."""
        left = self._wall_left - (self.now() - self._started)
        if left <= 0:
            self._end(Reason.WALL)
        ready = self._poll.poll(min(left, _SAMPLE_S) * 1000 + 1)
        now = self.now()
        if any(fd == self._out_fd for fd, _ in ready):
            self._drain_output()
        if now - self._looked >= _SAMPLE_S:  # by the clock: a child that keeps a pipe busy is looked at too
            self._looked = now
            self._look()

    def now(self) -> float:
        """The clock; what it made in a leap, while this process was stopped, is not counted as waiting."""
        now = time.monotonic()
        leap = now - self._ran
        if leap > _STOOD_STILL_S:
            self._started += leap
            self.stood_still_s += leap
        self._ran = now
        return now

    def _look(self) -> None:
        if self._cpu_start is None:
            self._cpu_start = max(0.0, self.cpu_s() - _SAMPLE_S)
        if self.cpu_s() - self._cpu_start > self._limits.cpu_s:
            self._end(Reason.CPU)
        if self.resident_mib() - self._resident_mib > self._limits.memory_mib + 64:
            self._end(Reason.MEMORY)

    def _keep_last_words(self) -> None:
        """What is still in the output pipe of a dead child: the same bytes however long the kill took."""
        for piece in self._printed():
            self._keep(piece)

    def _printed(self) -> Iterator[bytes]:
        """What the output pipe holds now, piece by piece; an empty one when the child has closed it."""
        while True:
            try:
                piece = os.read(self._out_fd, 65536)
            except BlockingIOError:
                return
            yield piece
            if not piece:
                return

    def _keep(self, piece: bytes) -> None:
        if self.keep_output:
            self.output += piece[: KEPT_OUTPUT_BYTES - len(self.output)]

    def _drain_output(self) -> None:
        for piece in self._printed():
            if not piece:  # closed by the child: it would be reported as readable for ever
                if not self._out_closed:
                    self._out_closed = True
                    self._poll.unregister(self._out_fd)
                return
            self.output_bytes += len(piece)
            self._keep(piece)
            if self.output_bytes - self._output_start > self._limits.output_kib << 10:
                self._end(Reason.OUTPUT)

    # The end ---------------------------------------------------------------------------------------------------

    def _end(self, reason: Reason, detail: str = "") -> NoReturn:
        step = self._announced()
        self.close()
        self._gone(reason, detail, step)

    def _gone(self, reason: Reason, detail: str = "", step: int | None = None) -> NoReturn:
        self.tell_end(reason)
        raise ChildEnded(reason, detail, step)

    def _announced(self) -> int | None:
        try:
            with open(f"/proc/{self.pid}/comm", "rb") as file:
                word, _, number = file.read(64).strip().partition(b" ")
        except (FileNotFoundError, ProcessLookupError):
            return None
        return int(number) if word == b"step" and number.isdigit() else None

    def _ended_by_itself(self) -> NoReturn:
        """The pipe is closed: the process exited, was killed by the kernel, or closed the descriptor and lives on."""
        if not self._exited_within(200):
            self._end(Reason.PROTOCOL, "it closed the answer pipe")
        memory = self.memory_exceeded()
        self.close()
        if self.exit is None or self.exit.orphaned:
            self.tell_end(LOST)
            raise ChildLost("the zygote ended, and its children with it")
        status = self.exit.status
        if status == -signal.SIGKILL:
            if memory:
                self._gone(Reason.MEMORY)
            if self.exit.cpu_s > 0.9 * self._limits.cpu_s:
                self._gone(Reason.CPU)
            # Process 1 of a pid namespace cannot kill itself, so this was the machine or an administrator.
            self.tell_end(LOST)
            raise ChildLost("a child was killed from outside")
        if status < 0:
            self._gone(Reason.SIGNAL, signal.Signals(-status).name)
        self._gone(Reason.EXITED, str(status))

    def dead(self) -> bool:
        """Whether the process has ended without being asked to."""
        return self._exited_within(0)

    def _exited_within(self, milliseconds: int) -> bool:
        poll = select.poll()  # not select.select, which takes no descriptor above 1023
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(milliseconds))

    @property
    def closed(self) -> bool:
        return self.pidfd < 0

    def close(self) -> None:
        """Kills the child if it lives, waits until it is reaped, closes the descriptors. Safe to call twice."""
        if self.closed:
            return
        with contextlib.suppress(ProcessLookupError):  # it is gone already
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        try:
            self.exit = self._wait_exit()
            self._keep_last_words()
        finally:
            for fd in (self.pidfd, self._write_fd, self._read_fd, self._out_fd):
                os.close(fd)
            self.pidfd = -1
            for closer in self.closers:
                closer()
