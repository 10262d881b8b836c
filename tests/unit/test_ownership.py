"""Whose the files of an installation are when root works beside the service, and what is said to whoever may not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from grader import installation, ownership
from grader.errors import UsageError

SERVICE = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")


@pytest.fixture
def folder() -> Iterator[Path]:
    """The service's, in one that everybody may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="grader-ownership-") as name:
        os.chmod(name, 0o755)
        made = Path(name) / "var"
        made.mkdir(mode=0o700)
        os.chown(made, SERVICE, SERVICE)
        yield made


@contextmanager
def as_user(number: int) -> Iterator[None]:
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


def migrated(file: Path) -> None:
    store = installation.open_store(f"sqlite:///{file}", make=True)
    installation.bring_up_to_date(store, datetime.now(UTC))
    store.close()


def owners(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_uid for path in folder.iterdir()}


def test_what_root_makes_belongs_to_the_owner_of_the_folder(folder: Path) -> None:
    file = folder / "grader.sqlite3"
    migrated(file)
    with installation.serving(file):
        store = installation.open_store(f"sqlite:///{file}")
        assert installation.backup(store, folder / "copy")
        store.close()
    installation.restore(folder / "copy", f"sqlite:///{file}", datetime.now(UTC))
    found = owners(folder)
    assert {"grader.sqlite3", "grader.sqlite3.lock", "grader.sqlite3.serve-lock", "copy"} < set(found)
    assert set(found.values()) == {SERVICE}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    installation.restore(folder / "copy", f"sqlite:///{folder}/new/var/grader.sqlite3", datetime.now(UTC))
    assert set(owners(folder / "new" / "var").values()) == {SERVICE}
    with as_user(SERVICE), installation.using(file):
        installation.open_store(f"sqlite:///{file}").close()


def test_a_database_keeps_its_owner_when_it_is_restored(folder: Path) -> None:
    file = folder / "grader.sqlite3"
    migrated(file)
    os.chown(file, 12345, 12345)
    with installation.using(file):
        store = installation.open_store(f"sqlite:///{file}")
        installation.backup(store, folder / "copy")
        store.close()
    installation.restore(folder / "copy", f"sqlite:///{file}", datetime.now(UTC))
    assert file.stat().st_uid == 12345


def test_root_gives_away_only_what_it_made_itself(folder: Path) -> None:
    """Whoever owns the folder may have put a link to somebody else's file in the place of the lock."""
    other = folder.parent / "of-root"
    other.write_text("")
    (folder / "linked").symlink_to(other)
    (folder / "nowhere").symlink_to(folder.parent / "none")
    os.close(ownership.open_own(folder / "linked", make=True))
    assert other.stat().st_uid == 0
    with pytest.raises(FileNotFoundError):
        ownership.open_own(folder / "nowhere", make=True)
    assert not (folder.parent / "none").exists()


def test_whoever_may_not_is_told_whose_it_is_and_what_to_do(folder: Path) -> None:
    file = folder / "grader.sqlite3"
    migrated(file)
    os.chown(file, 0, 0)
    with as_user(SERVICE), pytest.raises(UsageError) as refused:
        installation.open_store(f"sqlite:///{file}", make=True)
    said = f"the database {file} cannot be opened: Permission denied; {file} belongs to root; give it to the owner of "
    assert str(refused.value) == f"{said}the folder: sudo chown --reference={folder} {file}"
    os.chown(file, SERVICE, SERVICE)
    os.chown(f"{file}.lock", 0, 0)
    with (
        as_user(SERVICE),
        pytest.raises(UsageError, match=r"\.lock belongs to root; give it"),
        installation.using(file),
    ):
        pass
    with as_user(12345), pytest.raises(UsageError) as refused:
        installation.open_store(f"sqlite:///{file}")
    assert f"{folder} belongs to nobody; run the command as the user of the service" in str(refused.value)


def test_an_address_that_is_mistaken_makes_no_folders(folder: Path) -> None:
    with pytest.raises(UsageError, match=f"there is no folder {folder}/a to make {folder}/a/b in"):
        installation.open_store(f"sqlite:///{folder}/a/b/grader.sqlite3", make=True)
    with pytest.raises(UsageError, match="the same as for grader serve, which makes one"):
        installation.open_store(f"sqlite:///{folder}/a/b/grader.sqlite3")
    assert not (folder / "a").exists()
