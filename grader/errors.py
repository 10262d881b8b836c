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
