"""Taking an upload: everything that decides whether it counts happens in one transaction, so two uploads at the same
moment cannot both be the last attempt."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from grader.assignments import Assignment
from grader.errors import Conflict, Invalid, NotFound, TooLarge, TooMany
from grader.queue import Priority, Queue
from grader.service import recording
from grader.service.access import Actor
from grader.store.codec import pack
from grader.store.models import Blob, Extension, Published, Submission
from grader.store.states import SubmissionState

KINDS = {".py": 5 << 20, ".ipynb": 5 << 20, ".zip": 10 << 20}  # accepted files and their largest size, bytes
PASTED = "pasted.py"
_KEY = re.compile(r"[\x21-\x7e]{1,100}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """A file as it came. packed, digest: made outside of the transaction, since they take time."""

    name: str
    digest: str
    size: int
    packed: bytes

    @classmethod
    def of(cls, name: str, data: bytes) -> Upload:
        """Raises Invalid, TooLarge."""
        name = "".join(sign for sign in name if unicodedata.category(sign) != "Cc")
        name = name.replace("\\", "/").rpartition("/")[2].strip()[-255:] or PASTED
        kind = "." + name.lower().rpartition(".")[2]
        if kind not in KINDS:
            raise Invalid(
                "file",
                f"{name} is not a .py, .ipynb or .zip file. Upload the notebook or the script itself.",
                f"{name} 不是 .py、.ipynb 或 .zip 文件。请上传笔记本或脚本本身。",
            )
        if len(data) > KINDS[kind]:
            raise too_large(KINDS[kind])
        if not data:
            raise Invalid(
                "file", f"{name} is empty. Save your work and upload it again.", f"{name} 是空文件。请保存后重新上传。"
            )
        return cls(name=name, digest=hashlib.sha256(data).hexdigest(), size=len(data), packed=pack(data))


def too_large(most: int) -> TooLarge:
    mib = most >> 20
    return TooLarge(
        f"The file is larger than {mib} MiB. Clear the outputs of the notebook, or leave data files out.",
        f"文件超过了 {mib} MiB。请清除笔记本的输出，或者去掉数据文件后再上传。",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What holds for one student and one assignment, an extension included.

    due_at, closes_at: none without a deadline. attempts_left: none without a limit.
    """

    opens_at: datetime
    due_at: datetime | None
    closes_at: datetime | None
    attempt_limit: int | None
    attempts_used: int
    extended: bool

    @property
    def attempts_left(self) -> int | None:
        return None if self.attempt_limit is None else max(0, self.attempt_limit - self.attempts_used)

    def days_late(self, now: datetime) -> int:
        if self.due_at is None or now <= self.due_at:
            return 0
        return math.ceil((now - self.due_at) / timedelta(days=1))

    def closed(self, now: datetime) -> bool:
        return self.closes_at is not None and now > self.closes_at


def terms(session: Session, published: Published, user_id: int) -> Terms:
    extension = extension_in_force(session, published.id, user_id)
    due = published.due_at
    if extension is not None and extension.due_at is not None and due is not None:
        due = max(due, extension.due_at)
    limit = published.attempt_limit
    if extension is not None and limit is not None:
        limit += extension.extra_attempts
    return Terms(
        opens_at=published.opens_at,
        due_at=due,
        closes_at=None if due is None else due + timedelta(days=published.late_days),
        attempt_limit=limit,
        attempts_used=attempts_used(session, published.id, user_id),
        extended=extension is not None,
    )


def extension_in_force(session: Session, published_id: int, user_id: int) -> Extension | None:
    return session.scalar(
        select(Extension)
        .where(Extension.published_id == published_id, Extension.user_id == user_id, Extension.removed_at.is_(None))
        .order_by(Extension.id.desc())
        .limit(1)
    )


def attempts_used(session: Session, published_id: int, user_id: int) -> int:
    """Files that cost an attempt: those graded, and those that may be. What could not be graded costs none."""
    free = (SubmissionState.NOT_GRADABLE, SubmissionState.GRADER_ERROR)
    return (
        session.scalar(
            select(func.count()).where(
                Submission.published_id == published_id, Submission.user_id == user_id, Submission.state.not_in(free)
            )
        )
        or 0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """repeated: the same request came before (Idempotency-Key); this is its submission."""

    submission: Submission
    repeated: bool = False


def accept(
    session: Session, queue: Queue, actor: Actor, published: Published, assignment: Assignment, upload: Upload, *,
    now: datetime, received_at: datetime, uploads_a_minute: int, key: str | None = None, trace: str | None = None,
) -> Accepted:  # fmt: skip
    """Stores an upload and its job, or the result when the same content was graded before.

    received_at: when the request began, which decides about deadlines. trace: of the request, for its job. Raises
    Conflict (closed, no attempts left, key used for something else), TooMany, NotFound (not open yet), Invalid.
    """
    if actor.user_id is None:
        raise NotFound
    if key is not None and (repeated := _repeated(session, actor.user_id, published, upload, key)) is not None:
        return Accepted(submission=repeated, repeated=True)
    recording.lock_grade(session, published.id, actor.user_id)
    _not_too_fast(session, actor.user_id, now, uploads_a_minute)
    held = terms(session, published, actor.user_id)
    if not actor.is_staff(published.course_id):
        _allowed(held, received_at)
    _keep_blob(session, upload)
    last = session.scalar(
        select(func.max(Submission.number)).where(
            Submission.published_id == published.id, Submission.user_id == actor.user_id
        )
    )
    submission = Submission(
        published_id=published.id, user_id=actor.user_id, number=(last or 0) + 1, blob_digest=upload.digest,
        file_name=upload.name, received_at=received_at, days_late=held.days_late(received_at),
        state=SubmissionState.QUEUED, idempotency_key=key, via=actor.via,
    )  # fmt: skip
    session.add(submission)
    session.flush()
    if not recording.reuse(session, submission, assignment, now):
        queue.put(
            session, submission_id=submission.id, user_id=actor.user_id, runtime=assignment.runtime,
            priority=Priority.STUDENT, now=now, version=assignment.version, request_id=actor.request_id, trace=trace,
        )  # fmt: skip
        recording.recompute(session, published, actor.user_id, now)
    return Accepted(submission=submission)


def _keep_blob(session: Session, upload: Upload) -> None:
    if session.get(Blob, upload.digest) is not None:
        return
    try:
        with session.begin_nested():
            session.add(Blob(digest=upload.digest, size=upload.size, data=upload.packed))
    except IntegrityError:  # another student uploads the same content at this moment
        session.expire_all()


def _repeated(session: Session, user_id: int, published: Published, upload: Upload, key: str) -> Submission | None:
    if not _KEY.fullmatch(key):
        raise Invalid(
            "Idempotency-Key",
            "Idempotency-Key takes 1 to 100 printable ASCII characters without spaces.",
            "Idempotency-Key 只能是 1 到 100 个不含空格的可打印 ASCII 字符。",
        )
    found = session.scalar(select(Submission).where(Submission.user_id == user_id, Submission.idempotency_key == key))
    if found is not None and (found.blob_digest != upload.digest or found.published_id != published.id):
        raise Conflict(
            "This Idempotency-Key was used for another file or assignment. Use a new key for each upload.",
            "这个 Idempotency-Key 已用于另一个文件或作业。每次上传请使用新的键。",
        )
    return found


def _not_too_fast(session: Session, user_id: int, now: datetime, most: int) -> None:
    since = now - timedelta(minutes=1)
    times = session.scalars(
        select(Submission.received_at)
        .where(Submission.user_id == user_id, Submission.received_at > since)
        .order_by(Submission.received_at.desc())
        .limit(most)
    ).all()
    if len(times) >= most:
        wait = max(1, math.ceil((times[-1] - since).total_seconds()))
        raise TooMany(
            f"That is more than {most} uploads in a minute. Your next upload is taken in {wait} s.",
            f"一分钟内上传超过了 {most} 次。请在 {wait} 秒后再上传。",
            retry_after_s=wait,
        )


def _allowed(held: Terms, at: datetime) -> None:
    if at < held.opens_at:
        raise NotFound("This assignment is not open yet.", "这个作业还没有开放。")
    if held.closed(at):
        raise Conflict(
            "The deadline of this assignment has passed, so the file was not taken. Ask your teacher for an extension.",
            "这个作业已经截止，文件没有被接收。如需延期，请联系老师。",
        )
    if held.attempts_left == 0:
        raise Conflict(
            f"You have used all {held.attempt_limit} attempts, so the file was not taken.",
            f"你已经用完全部 {held.attempt_limit} 次提交机会，文件没有被接收。",
        )
