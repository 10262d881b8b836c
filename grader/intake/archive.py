"""The scripts and notebooks in a zip, unpacked in memory under a byte count that does not trust the archive.

Every name is checked, also of entries that are not read: an archive made to escape is refused as a whole.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

from grader.errors import NotGradable
from grader.intake.source import UploadLimits, listed, printable
from grader.reports import LeftOut, Text

_CODE: Final = (".py", ".ipynb")
_ARCHIVES: Final = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".whl", ".egg", ".jar")
_SKIPPED_FOLDERS: Final = frozenset({"__macosx", ".ipynb_checkpoints", "__pycache__", ".git", ".idea", ".vscode"})
_DRIVE = re.compile(r"[A-Za-z]:")
_ENTRY_MARK: Final = b"PK\x01\x02"
_CHUNK: Final = 1 << 16
_AGAIN: Final = Text(en="Make a new zip of your own files.", zh="请把自己的文件重新打包。")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A script or notebook of the archive."""

    path: str
    data: bytes


def is_zip(data: bytes) -> bool:
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def unpack(name: str, data: bytes, limits: UploadLimits) -> tuple[list[Entry], tuple[LeftOut, ...]]:
    """The code in the archive, and what else was in it. Raises NotGradable."""
    if data.count(_ENTRY_MARK) > limits.zip_entries:  # before zipfile builds an object for each
        raise _refused(
            name,
            Text(
                en=f"it has more than {limits.zip_entries} entries.", zh=f"里面的文件超过了 {limits.zip_entries} 个。"
            ),
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            paths = _checked(name, infos)
            return _read_all(name, archive, list(zip(paths, infos, strict=True)), limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, RuntimeError, struct.error):
        raise _refused(
            name, Text(en="the archive is damaged or not a zip.", zh="压缩包已损坏，或者不是 zip 格式。")
        ) from None


def _read_all(
    name: str, archive: zipfile.ZipFile, infos: list[tuple[str, zipfile.ZipInfo]], limits: UploadLimits
) -> tuple[list[Entry], tuple[LeftOut, ...]]:
    entries: list[Entry] = []
    ignored: list[str] = []
    left = limits.zip_bytes
    for path, info in infos:
        if path.endswith("/"):
            continue
        folders, _, base = path.rpartition("/")
        hidden = base.startswith(".") or any(f.lower() in _SKIPPED_FOLDERS for f in folders.split("/"))
        if hidden or not base.lower().endswith(_CODE):
            ignored.append(path)
            continue
        content = _read(name, path, archive, info, min(left, limits.upload_bytes), limits)
        left -= len(content)
        entries.append(Entry(path=path, data=content))
    if not ignored:
        return entries, ()
    why = Text(en="the grader reads only scripts and notebooks", zh="评分程序只读取脚本和笔记本")
    return entries, (LeftOut(where=Text(en=name, zh=name), what=listed(ignored, 6).en, why=why),)


def _read(
    name: str, path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int, limits: UploadLimits
) -> bytes:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(
            name,
            _about(path, "is packed in a way that is not read here", "使用了不支持的压缩方式"),
        )
    parts: list[bytes] = []
    size = 0
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > room or (size > 1 << 20 and size > limits.zip_ratio * max(info.compress_size, 1)):
                raise _refused(name, _about(path, "is too large when unpacked", "解压后太大"))
            parts.append(chunk)
    return b"".join(parts)


def _checked(name: str, infos: list[zipfile.ZipInfo]) -> list[str]:
    """The path of each entry. Raises NotGradable for names that no honest archive holds."""
    paths: list[str] = []
    seen: dict[str, str] = {}
    for info in infos:
        path = _path(info)
        mode = stat.S_IFMT(info.external_attr >> 16)
        problem: tuple[str, str] | None = None
        if info.flag_bits & 0x1:
            problem = ("is encrypted", "加了密码")
        elif "\0" in path or "\\" in path or path.startswith("/") or _DRIVE.match(path) or ".." in path.split("/"):
            problem = ("has a name that points outside of the archive", "的路径不合法")
        elif mode not in (0, stat.S_IFREG, stat.S_IFDIR):
            problem = ("is a link or a device, not a file", "是链接或设备，不是普通文件")
        elif path.lower().endswith(_ARCHIVES):
            problem = ("is an archive inside the archive", "是压缩包里的压缩包")
        elif (key := unicodedata.normalize("NFC", path).casefold().rstrip("/")) in seen:
            if seen[key] == path:
                problem = ("is there twice", "出现了两次")
            else:
                problem = (
                    f"differs from {printable(seen[key], 60)} only in capital letters",
                    f"与 {printable(seen[key], 60)} 只有大小写不同",
                )
        if problem is not None:
            raise _refused(name, _about(path, *problem))
        seen[key] = path
        paths.append(path)
    return paths


def _path(info: zipfile.ZipInfo) -> str:
    """The entry's name. Zip tools on Chinese Windows write GBK without saying so."""
    raw = info.orig_filename
    if info.flag_bits & 0x800:
        return raw
    try:
        packed = raw.encode("cp437")
    except UnicodeEncodeError:
        return raw
    for encoding in ("utf-8", "gb18030"):
        try:
            return packed.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw


def _about(path: str, en: str, zh: str) -> Text:
    return Text(en=f"{printable(path, 60)} {en}.", zh=f"{printable(path, 60)} {zh}。")


def _refused(name: str, why: Text) -> NotGradable:
    return NotGradable(Text(en=f"{name} cannot be read:", zh=f"无法读取 {name}：") + why + _AGAIN)
