"""Reads uploads and cuts them down to what is graded, without running a line of them."""

from grader.intake.library_use import Use
from grader.intake.reading import read_upload
from grader.intake.slicing import Slice, slice_submission
from grader.intake.source import BrokenCell, Origin, Source, Submission, UploadLimits

__all__ = [
    "BrokenCell",
    "Origin",
    "Slice",
    "Source",
    "Submission",
    "UploadLimits",
    "Use",
    "read_upload",
    "slice_submission",
]
