"""Uploads and reports as the bytes that are stored, and back. JSON and zlib: reading them can run nothing."""

from __future__ import annotations

import json
import zlib

from grader.errors import StoreError
from grader.reports import Report, from_record, to_record

_MOST_BYTES = 64 << 20


def pack(data: bytes) -> bytes:
    return zlib.compress(data, 6)


def unpack(packed: bytes) -> bytes:
    """Raises StoreError for bytes that are not what was stored."""
    machine = zlib.decompressobj()
    try:
        data = machine.decompress(packed, _MOST_BYTES)
    except zlib.error as error:
        raise StoreError(f"stored bytes are damaged: {error}") from None
    if not machine.eof or machine.unused_data:
        raise StoreError("stored bytes are damaged: they end too early or are too long")
    return data


def pack_report(report: Report) -> bytes:
    return pack(json.dumps(to_record(report), ensure_ascii=False, separators=(",", ":")).encode())


def unpack_report(packed: bytes) -> Report:
    """Raises StoreError."""
    try:
        return from_record(json.loads(unpack(packed)))
    except ValueError as error:
        raise StoreError(f"a stored report is damaged: {error}") from None
