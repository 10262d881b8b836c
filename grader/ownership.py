"""Who owns the files of an installation.

The service has a user of its own, and an administrator works beside it as root: what root makes there belongs to the
owner of the folder, else the service could not open it any more.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def make_folder(folder: Path, *, parents: bool = False) -> None:
    """The folder of a database, for its owner only. parents: those around it, too. Raises OSError."""
    if parents and not folder.parent.exists():
        make_folder(folder.parent, parents=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        give(folder, folder.parent)


def open_own(file: Path, *, make: bool) -> int:
    """A descriptor to read and write. make: also a new file, which belongs to the owner of its folder. Raises OSError.

    Only what was made here is given away: the folder's owner may have put a link in its place.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(file, flags)
    except FileNotFoundError:
        if not make:
            raise
    try:
        return make_new(file)
    except FileExistsError:  # another process was faster
        return os.open(file, flags)


def make_new(file: Path, *, like: Path | None = None) -> int:
    """A descriptor of a new file that only its owner reads: that of its folder, or of another file. Raises OSError."""
    made = os.open(file, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, 0o600)
    give(made, like or file.parent)
    return made


def give(what: int | Path, like: Path) -> None:
    """Done by root, gives a file that was just made the owner of another one. Done by anybody else, nothing."""
    if os.geteuid() == 0:
        found = like.stat()
        os.chown(what, found.st_uid, found.st_gid)


def reason(file: Path, error: OSError) -> str:
    """Why a file cannot be opened, and where that is it, whose it is and what to do."""
    said = error.strerror or str(error)
    if not isinstance(error, PermissionError):
        return f"{said}; see GRADER_DATA_DIR"
    for place in (file, *file.parents):
        try:
            owner = owner_of(place)
        except OSError:  # inside a folder that is not ours to enter
            continue
        if place == file and owner != owner_of(file.parent):
            return f"{said}; {place} belongs to {owner}; give it to the owner of the folder: {_chown(file)}"
        return f"{said}; {place} belongs to {owner}; run the command as the user of the service"
    return said


def owner_of(place: Path) -> str:
    """The name of a file's user, or the number of one that this machine does not know. Raises OSError."""
    number = place.stat().st_uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _chown(file: Path) -> str:
    return f"sudo chown --reference={file.parent} {file}"
