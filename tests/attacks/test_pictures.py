"""What students draw, honestly and otherwise: it arrives as a few bounded PNG files, or costs its author the check."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from grader.pictures import MOST_A_CHECK, MOST_A_SUBMISSION, MOST_BYTES, chosen
from grader.reports import Picture
from grader.sandbox.child import CallError, Child, ChildEnded, Reason
from grader.sandbox.limits import CheckLimits, SubmissionLimits
from grader.sessions import StudentSession

from .arena import PRELUDE, Arena

pytestmark = pytest.mark.sandbox
LIMITS = CheckLimits(cpu_s=20.0, wall_s=40.0, memory_mib=512, output_kib=256)  # the first import takes its time
BRIEF = CheckLimits(cpu_s=1.0, wall_s=30.0, memory_mib=512, output_kib=64)

PLOT = """
import matplotlib.pyplot as plt
plt.style.use("ggplot")
plt.rcParams["font.sans-serif"] = ["SimHei"]
plt.rcParams["axes.unicode_minus"] = False
plt.ion()
def nothing(): return 1
def shown():
    for loss in ([3, 2, 1], [2, 1, 0]):
        plt.plot(loss); plt.title("loss"); plt.show(); plt.pause(30)
    return len(plt.get_fignums())
def left_open():
    figure, (a, b) = plt.subplots(2); a.plot([1, 2]); b.plot([2, 1])
    return figure.number
def raises():
    plt.plot([1, 2]); plt.show()
    raise ValueError("after a figure")
def saves():
    plt.plot([1, 2]); plt.savefig("curve.png"); plt.close()
    return os.path.getsize("curve.png") > 0
def many():
    for _ in range(10): plt.figure(); plt.plot([1, 2])
    plt.show()
    return 1
def sheet(): plt.figure(figsize=(900, 400)); plt.plot([1, 2])
def strip(): plt.figure(figsize=(1000, 0.001)); plt.plot([1, 2])
def noise(): plt.figure(figsize=(10, 8)); plt.imshow(np.random.rand(800, 1000, 3))
class Trap(plt.Line2D):
    def draw(self, renderer): self.action()
def trapped(action):
    trap = Trap([0, 1], [0, 1]); trap.action = action
    plt.gca().add_line(trap)
def leaves(): trapped(lambda: sys.exit(0)); return 5
def fails(): trapped(lambda: 1 / 0); return 5
def hangs():
    def spin():
        while True: pass
    trapped(spin)
def patched():
    import matplotlib.figure
    matplotlib.figure.Figure.savefig = lambda self, file, **_: file.write(b"x" * (200 << 20))
    plt.show = plt.close = None
    plt.plot([1, 2])
    return 5
"""

# The reply of a request, made by the student's code: {"values": [...], "used": [], "pictures": ...}.
FORGED = """
def answer(pictures):
    import struct
    job, call_id, frame = forge()
    text = lambda s: struct.pack("<BI", 6, len(s)) + s.encode()
    raw = lambda b: struct.pack("<BI", 7, len(b)) + b
    items = lambda found: struct.pack("<BI", 8, len(found)) + b"".join(found)
    told = items([raw(p) for p in pictures]) if type(pictures) is list else text(pictures)
    reply = text("values") + items([b"\\0"]) + text("used") + items([]) + text("pictures") + told
    reply = struct.pack("<BI", 10, 3) + reply
    data = struct.pack("<IBBHII", 0x31445247, 17, 0, 0, call_id, len(reply)) + reply
    while data: data = data[os.write(job, data):]
    while True: time.sleep(1)
def png(width=8, height=8, size=2000):
    import struct
    head = b"\\x89PNG\\r\\n\\x1a\\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\\x08\\6\\0\\0\\0"
    return head.ljust(size, b"\\0")
def thousand(): answer([png()] * 1000)
def huge(): answer([b"\\x89PNG" * (25 << 20)])
def large(): answer([png(size=100 << 10)] * 50 + [png()])
def no_png(): answer([b"<svg onload='alert(1)'/>" * 10, b"", b"GIF89a" * 20])
def wide(): answer([png(2**31, 8), png(8, 2**32 - 1), png(0, 0), png(9, 9)])
def words(): answer("pictures")
"""


@contextlib.contextmanager
def plotting(arena: Arena) -> Iterator[Child]:
    with arena.program(PLOT, LIMITS) as child:
        yield child


def drawn(arena: Arena, child: Child, name: str) -> list[bytes]:
    """What one function draws in a check of its own."""
    child.begin(LIMITS)
    child.ask("begin", seed=1)
    with contextlib.suppress(CallError):
        arena.call(child, name)
    assert all(png.startswith(b"\x89PNG") and len(png) <= MOST_BYTES for png in child.pictures)
    return child.pictures


def test_figures_travel_with_the_reply(arena: Arena) -> None:
    counts = {"nothing": 0, "shown": 2, "left_open": 1, "raises": 1, "saves": 0, "many": MOST_A_CHECK, "sheet": 1}
    counts["noise"] = 1
    with plotting(arena) as child:
        assert {name: len(drawn(arena, child, name)) for name in counts} == counts
        assert arena.call(child, "shown") == 0  # shown is closed, as in a notebook
        assert arena.call(child, "left_open") == 1
        assert b"findfont" not in child.output


def test_a_figure_that_cannot_be_rendered_is_not_the_students_failure(arena: Arena) -> None:
    with plotting(arena) as child:
        for name, value in {"leaves": 5, "fails": 5, "strip": None, "patched": 5, "nothing": 1}.items():
            child.begin(LIMITS)
            assert arena.call(child, name) == value
        assert "有一张图无法绘制" in child.output.decode()


def test_a_figure_that_never_ends_meets_the_limits(arena: Arena) -> None:
    with plotting(arena) as child:
        child.begin(BRIEF)
        with pytest.raises(ChildEnded) as caught:
            arena.call(child, "hangs")
    assert caught.value.reason is Reason.CPU


def test_a_hidden_check_shows_no_figure(arena: Arena) -> None:
    with plotting(arena) as child:
        child.keep_output = False
        assert drawn(arena, child, "shown") == []


@pytest.mark.parametrize(
    ("name", "reason", "kept", "sizes"),
    [
        ("thousand", None, MOST_A_CHECK, [(8, 8)] * MOST_A_CHECK),
        ("large", None, 0, []),
        ("no_png", None, 3, []),
        ("wide", None, 4, [(9, 9)]),
        ("words", None, 0, []),
        ("huge", Reason.PROTOCOL, 0, []),
    ],
)
def test_forged_pictures(
    arena: Arena, name: str, reason: Reason | None, kept: int, sizes: list[tuple[int, int]]
) -> None:
    session = a_session(arena, FORGED)
    try:
        subject = session.begin(CheckLimits(cpu_s=4.0, wall_s=4.0, memory_mib=512), 1)
        ended = None
        try:
            session.send([["call", 1, None, name, [], {}]])
            session.receive()
        except ChildEnded as error:
            ended = error.reason
        assert ended is reason
        assert subject is not None
        child = session._child
        assert len(child.pictures if child is not None else ()) == kept
        assert [(p.width, p.height) for p in session.take_pictures()] == sizes
    finally:
        session.close()


def test_a_submission_has_so_many_pictures_and_no_more(arena: Arena) -> None:
    session = a_session(arena, PLOT)
    found: list[tuple[Picture, ...]] = []
    try:
        for seed in range(4):
            session.begin(LIMITS, seed)
            session.send([["begin", 0, None, "", [{"seed": seed}], {}], ["call", 1, None, "many", [], {}]])
            session.receive()
            found.append(session.take_pictures())
    finally:
        session.close()
    assert max(map(len, found)) <= MOST_A_CHECK
    kept = [drawn for check in chosen([(False, drawn) for drawn in found]) for drawn in check]
    assert 0 < len(kept) <= MOST_A_SUBMISSION
    assert {(p.width, p.height) for p in kept} == {(640, 480)}


def test_pictures_of_a_child_that_died_are_those_of_its_check(arena: Arena) -> None:
    session = a_session(arena, PLOT + "\ndef dies(): os._exit(3)\n")
    try:
        for call, pictures in (("shown", 2), ("nothing", 0)):
            session.begin(LIMITS, 1)
            for name in (call, "dies"):
                session.send([["call", 1, None, name, [], {}]])
                with contextlib.suppress(ChildEnded):
                    session.receive()
            assert len(session.take_pictures()) == pictures
    finally:
        session.close()


def a_session(arena: Arena, source: str) -> StudentSession:
    """A session whose program is this text, as it is."""

    class Whole:
        text = PRELUDE + source
        modules: dict[str, str] = {}  # noqa: RUF012

    return StudentSession(arena.sandbox, arena.assignment, Whole(), 1, SubmissionLimits())  # type: ignore[arg-type]
