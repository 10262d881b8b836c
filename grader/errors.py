"""The tree of errors. Each is declared, worded and mapped to its exit code and HTTP status once, here.

A verdict about a student's work is never an exception that leaves the engine: it is data in a report.
"""

from __future__ import annotations

from typing import ClassVar

from grader.reports import Text


class GraderError(Exception):
    """Something went wrong in the grader itself."""

    exit_code: ClassVar[int] = 4
    http_status: ClassVar[int] = 500


class UsageError(GraderError):
    """A command, flag or setting was given that makes no sense."""

    exit_code = 2
    http_status = 400


class NotGradable(GraderError):
    """The upload cannot be graded; the student is told why and keeps the attempt.

    `text` says what was wrong, where, and what to do.
    """

    exit_code = 3
    http_status = 422

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


class AssignmentError(GraderError):
    """An assignment folder is incomplete or contradicts itself; names the file and the line or key."""

    exit_code = 2
    http_status = 500


class SandboxError(GraderError):
    """The sandbox could not do its work: our fault, so the report is `grader_error` and is retried."""

    http_status = 503


class SandboxUnavailable(SandboxError):
    """This machine does not give the isolation that grading other people's code needs.

    The message names the missing layer and the exact command that gives it.
    """

    exit_code = 5


class RuntimeMissing(SandboxError):
    """The runner environment lacks the packages of an assignment's runtime; names the command that adds them."""

    exit_code = 5


class StoreError(GraderError):
    """The database cannot be used: locked, full, damaged or of another version."""

    http_status = 503


class Refused(GraderError):
    """The service will not do what was asked; nothing was changed.

    `text` says what was wrong and what to do, in both languages; `code` names the kind for programs.
    """

    exit_code = 2
    http_status = 400
    code: ClassVar[str] = "refused"

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.text = Text(en=en, zh=zh)


class Invalid(Refused):
    """A value makes no sense; `field` names it as the form or the API calls it."""

    http_status = 422
    code = "invalid"

    def __init__(self, field: str, en: str, zh: str) -> None:
        super().__init__(en, zh)
        self.field = field


class NotSignedIn(Refused):
    """Nobody is signed in, or the token is not valid."""

    http_status = 401
    code = "not-signed-in"


class Forbidden(Refused):
    """Somebody is signed in who may not do this."""

    http_status = 403
    code = "forbidden"


class NotFound(Refused):
    """It is not there, or not for this person: which of both is not said."""

    http_status = 404
    code = "not-found"

    def __init__(self, en: str = "There is nothing here for you.", zh: str = "这里没有你可以看的内容。") -> None:
        super().__init__(en, zh)


class Conflict(Refused):
    """It does not fit to what is there: a closed deadline, no attempts left, a name that is taken."""

    http_status = 409
    code = "conflict"


class TooLarge(Refused):
    """The upload is larger than what is taken."""

    http_status = 413
    code = "too-large"


class TooSlow(Refused):
    """The request did not arrive in time."""

    http_status = 408
    code = "too-slow"


class TooMany(Refused):
    """Too many requests; `retry_after_s` says when the next one is taken."""

    http_status = 429
    code = "too-many"

    def __init__(self, en: str, zh: str, retry_after_s: int) -> None:
        super().__init__(en, zh)
        self.retry_after_s = retry_after_s
