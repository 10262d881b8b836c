"""Control groups of both versions over a folder that looks like /sys/fs/cgroup."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from grader.sandbox.cgroups import Cgroups, Slot, open_cgroups


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def empty(folder: Path) -> None:
    """What the kernel does by itself: the files of a group are no reason not to remove it."""
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()


def in_the_way(folder: Path) -> None:
    """Nothing can be made in here: not by permission, for root may write everywhere."""
    folder.rmdir()
    folder.symlink_to("/proc/self/task")


def opened(proc: Path, root: Path) -> Cgroups:
    found = open_cgroups(str(proc), str(root))
    assert isinstance(found, Cgroups), found
    return found


class TestVersion2:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "cgroup"
        write(root / "app" / "cgroup.controllers", "cpu io memory pids\n")
        write(tmp_path / "proc", "0::/app\n")
        return root

    def test_controllers_are_handed_down(self, root: Path, tmp_path: Path) -> None:
        groups = opened(tmp_path / "proc", root)
        assert groups.version == 2
        base = root / "app"
        assert (base / "grader-main" / "cgroup.procs").read_text() == str(os.getpid())
        assert (base / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
        assert (groups.parents["unified"] / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"

    def test_limits_of_a_slot(self, root: Path, tmp_path: Path) -> None:
        slot = opened(tmp_path / "proc", root).take()
        slot.limit(100, processes=9)
        slot.add(4711)
        folder = slot.folders["unified"]
        values = {
            name: (folder / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max", "cgroup.procs")
        }
        assert values == {"memory.max": str(100 << 20), "memory.swap.max": "0", "pids.max": "9", "cgroup.procs": "4711"}
        assert (folder / "memory.oom.group").read_text() == "1"

    def test_kills_since_the_last_limit_count(self, root: Path, tmp_path: Path) -> None:
        slot = opened(tmp_path / "proc", root).take()
        events = write(slot.folders["unified"] / "memory.events", "low 7\noom 3\noom_kill 2\n")
        slot.limit(100)
        assert slot.failures() == 2
        assert not slot.exceeded()
        events.write_text("low 7\noom 9\noom_kill 3\n")
        assert slot.exceeded()
        slot.limit(100)
        assert not slot.exceeded()

    def test_a_second_sandbox_of_the_same_process_uses_the_same_base(self, root: Path, tmp_path: Path) -> None:
        first = opened(tmp_path / "proc", root)
        write(tmp_path / "proc", "0::/app/grader-main\n")  # where the first one has moved this process
        write(root / "app" / "grader-main" / "cgroup.controllers", "cpu memory pids\n")
        second = opened(tmp_path / "proc", root)
        assert second.parents["unified"].parent == first.parents["unified"].parent == root / "app"
        assert second.parents != first.parents

    @pytest.mark.parametrize("controllers", ["", "cpu", "memory", "pids cpu"])
    def test_without_controllers(self, root: Path, tmp_path: Path, controllers: str) -> None:
        write(root / "app" / "cgroup.controllers", controllers)
        assert "no memory and pids controllers" in str(open_cgroups(str(tmp_path / "proc"), str(root)))

    def test_not_delegated(self, root: Path, tmp_path: Path) -> None:
        write(root / "app" / "grader-main")  # a file in the way, for root may write everywhere
        assert "not delegated" in str(open_cgroups(str(tmp_path / "proc"), str(root)))


class TestVersion1:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "cgroup"
        for controller in ("memory", "pids", "cpu"):
            (root / controller / "job").mkdir(parents=True)
        write(tmp_path / "proc", "8:pids:/job\n4:memory:/job\n1:cpu,cpuacct:/job\n0::/\n")
        return root

    def test_a_folder_a_controller(self, root: Path, tmp_path: Path) -> None:
        groups = opened(tmp_path / "proc", root)
        assert groups.version == 1
        assert {name: path.parent for name, path in groups.parents.items()} == {
            name: root / name / "job" for name in ("memory", "pids", "cpu")
        }

    def test_limits_of_a_slot(self, root: Path, tmp_path: Path) -> None:
        slot = opened(tmp_path / "proc", root).take()
        slot.limit(100, processes=9)
        slot.add(4711)
        here = {name: folder for name, folder in slot.folders.items()}
        assert (here["memory"] / "memory.limit_in_bytes").read_text() == str(100 << 20)
        assert (here["memory"] / "memory.memsw.limit_in_bytes").read_text() == str(100 << 20)
        assert (here["pids"] / "pids.max").read_text() == "9"
        assert (here["cpu"] / "cpu.cfs_quota_us").read_text() == "100000"
        assert {(folder / "cgroup.procs").read_text() for folder in here.values()} == {"4711"}

    def test_kills_since_the_last_limit_count(self, root: Path, tmp_path: Path) -> None:
        slot = opened(tmp_path / "proc", root).take()
        control = write(slot.folders["memory"] / "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
        slot.limit(100)
        assert not slot.exceeded()
        control.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
        assert slot.exceeded()

    def test_a_path_that_does_not_show_in_a_container(self, root: Path, tmp_path: Path) -> None:
        write(tmp_path / "proc", "8:pids:/outside\n4:memory:/outside\n")
        parents = opened(tmp_path / "proc", root).parents
        assert {name: path.parent for name, path in parents.items()} == {n: root / n for n in ("memory", "pids")}

    @pytest.mark.parametrize("controller", ["memory", "pids"])
    def test_not_writable_leaves_nothing_behind(self, root: Path, tmp_path: Path, controller: str) -> None:
        in_the_way(root / controller / "job")
        assert f"cgroup v1 {root}/{controller}/job is not writable" in str(
            open_cgroups(str(tmp_path / "proc"), str(root))
        )
        assert list(root.rglob("grader-*")) == []

    def test_the_cpu_controller_is_optional(self, root: Path, tmp_path: Path) -> None:
        in_the_way(root / "cpu" / "job")
        groups = opened(tmp_path / "proc", root)
        assert set(groups.parents) == {"memory", "pids"}
        groups.take().limit(10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read"),
        ("", "no memory controller"),
        ("3:cpuset:/\n", "no memory controller"),
        ("4:memory:/\n", "no memory"),
    ],
)
def test_no_groups_in_words(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        write(tmp_path / "proc", text)
    assert words in str(open_cgroups(str(tmp_path / "proc"), str(tmp_path)))


class TestSlots:
    @pytest.fixture
    def groups(self, tmp_path: Path) -> Cgroups:
        (tmp_path / "parent").mkdir()
        return Cgroups({"unified": tmp_path / "parent"}, 2)

    def test_are_reused(self, groups: Cgroups) -> None:
        first, second = groups.take(), groups.take()
        assert first.folders != second.folders
        groups.give_back(first)
        assert groups.take() is first
        assert groups.take().folders["unified"].name == "slot2"

    def test_close_removes_everything(self, groups: Cgroups) -> None:
        slots = [groups.take() for _ in range(3)]
        for slot in slots:
            slot.limit(10)
            empty(slot.folders["unified"])
        groups.close()
        assert not groups.parents["unified"].exists()
        groups.close()

    def test_removing_a_busy_group_gives_up(self, groups: Cgroups) -> None:
        slot = groups.take()
        write(slot.folders["unified"] / "busy")
        slot.remove()
        assert slot.folders["unified"].exists()
        Slot({"unified": slot.folders["unified"] / "nowhere"}, 2).remove()
