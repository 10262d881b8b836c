"""Reads every upload and every report of a database file and compares them with what was stored.

SQLite's own check looks at how pages hang together, not at what is in them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib

from grader.errors import StoreError
from grader.store.codec import unpack

_STEP = 1 << 20  # bytes that are decompressed at a time


def verify_contents(connection: sqlite3.Connection) -> None:
    """Raises StoreError naming the first upload or report that is not what was stored. One of them is in memory at a
    time, compressed; a report also whole."""
    for digest, data in connection.execute("SELECT digest, data FROM blobs"):
        if _digest(data) != digest:
            where = connection.execute("SELECT id FROM submissions WHERE blob_digest = ?", (digest,)).fetchall()
            numbers = ", ".join(str(number) for (number,) in where[:5]) or "no submission"
            raise StoreError(f"the upload {str(digest)[:12]} (of submission {numbers}) is not what was handed in")
    for number, submission, content in connection.execute("SELECT id, submission_id, content FROM reports"):
        try:
            json.loads(unpack(content))
        except (StoreError, ValueError, TypeError):
            raise StoreError(f"the report {number} of submission {submission} cannot be read") from None


def _digest(packed: object) -> str:
    """SHA-256 of what was compressed, hex; empty when it cannot be decompressed."""
    if not isinstance(packed, bytes):
        return ""
    machine, digest = zlib.decompressobj(), hashlib.sha256()
    try:
        while packed and not machine.eof:
            digest.update(machine.decompress(packed, _STEP))
            packed = machine.unconsumed_tail
        digest.update(machine.flush())
    except zlib.error:
        return ""
    return digest.hexdigest() if machine.eof else ""
