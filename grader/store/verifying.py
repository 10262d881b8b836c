"""Reads every upload and every report of a database and compares them with what was stored.

What a database checks by itself is how its pages hang together, not what is in them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from grader.errors import StoreError
from grader.store.codec import unpack
from grader.store.engine import Store

_STEP = 1 << 20  # bytes that are decompressed at a time
_ROWS = 20  # uploads or reports fetched at once
_UPLOADS = "SELECT digest, data FROM blobs"
_REPORTS = "SELECT id, submission_id, content FROM reports"
_UPLOADED_BY = "SELECT id FROM submissions WHERE blob_digest = :digest ORDER BY id LIMIT 5"
_WITHOUT_REPORT = (
    "SELECT s.id FROM submissions s LEFT JOIN reports r ON r.id = s.report_id AND r.submission_id = s.id "
    "WHERE s.report_id IS NOT NULL AND r.id IS NULL LIMIT 1"
)
_NEVER_HANDED_OUT = (
    "SELECT j.id FROM jobs j LEFT JOIN procrastinate_jobs p ON p.id = j.delivery "
    "AND p.status = CASE j.state WHEN 'queued' THEN 'todo' ELSE 'doing' END::procrastinate_job_status "
    "WHERE j.state IN ('queued', 'running') AND p.id IS NULL LIMIT 1"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """How many of each were read, and were what was stored."""

    uploads: int
    reports: int


def verify(store: Store) -> Contents:
    """Everything of a database, as of one moment, also while it is used. Raises StoreError; see verify_connection."""
    with store.read() as session:
        return verify_connection(session.connection())


def verify_connection(connection: Connection) -> Contents:
    """What a transaction sees. Raises StoreError naming the first upload, report or job that is not what it should be.

    On PostgreSQL also whether each job that waits or runs has the job of Procrastinate that brings it to a worker.
    """
    streamed = {"yield_per": _ROWS}
    uploads = 0
    with connection.execute(text(_UPLOADS), execution_options=streamed) as rows:
        for digest, data in rows:
            uploads += 1
            if _digest(data) != digest:
                raise _another(digest, connection.execute(text(_UPLOADED_BY), {"digest": digest}).scalars())
    with connection.execute(text(_REPORTS), execution_options=streamed) as rows:
        reports = _read_reports((number, submission, content) for number, submission, content in rows)
    lost = connection.execute(text(_WITHOUT_REPORT)).scalar()
    if lost is not None:
        raise StoreError(f"the current report of submission {lost} is not there")
    if connection.dialect.name == "postgresql":
        forgotten = connection.execute(text(_NEVER_HANDED_OUT)).scalar()
        if forgotten is not None:
            raise StoreError(f"job {forgotten} would never be graded: Procrastinate does not have it")
    return Contents(uploads=uploads, reports=reports)


def verify_contents(connection: sqlite3.Connection) -> None:
    """Uploads and reports of an SQLite file that is not to be opened as a Store. Raises StoreError.

    One of them is in memory at a time, compressed; a report also whole.
    """
    for digest, data in connection.execute(_UPLOADS):
        if _digest(data) != digest:
            raise _another(digest, (row[0] for row in connection.execute(_UPLOADED_BY, {"digest": digest})))
    _read_reports(connection.execute(_REPORTS))


def _another(digest: object, submissions: Iterable[int]) -> StoreError:
    numbers = ", ".join(map(str, submissions)) or "no submission"
    return StoreError(f"the upload {str(digest)[:12]} (of submission {numbers}) is not what was handed in")


def _read_reports(rows: Iterable[tuple[int, int, bytes]]) -> int:
    read = 0
    for number, submission, content in rows:
        try:
            json.loads(unpack(content))
        except (StoreError, ValueError, TypeError):
            raise StoreError(f"the report {number} of submission {submission} cannot be read") from None
        read += 1
    return read


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
    return digest.hexdigest() if machine.eof and not machine.unused_data else ""
