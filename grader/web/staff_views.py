"""What the staff pages about grades need, one frozen record a page; templates/staff/ shows them.

Titles and sentences are in the language of the page already. Moments are aware datetimes. `problems` holds sentences
for the form that was refused, by field, and `values` what had been typed into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode

from markupsafe import Markup

from grader.service.regrading import Change
from grader.store.states import GradeStatus, RegradeState
from grader.web.management_views import AuditLine
from grader.web.views import AttemptRow, SubmissionPage

# Gradebook -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One student's grade for one assignment. score: what counts; computed: what an override stands instead of."""

    status: GradeStatus
    score: float | None = None
    computed: float | None = None
    overridden: bool = False
    days_late: int = 0
    submission: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BookColumn:
    """One assignment. The counts are of the students that the filter shows."""

    name: str
    title: str
    max_score: float
    graded: int
    missing: int
    open: int  # handed in, without a grade yet


@dataclass(frozen=True, kw_only=True, slots=True)
class BookRow:
    login: str
    name: str
    section: str
    cells: tuple[Cell, ...]  # in the order of the columns


@dataclass(frozen=True, kw_only=True, slots=True)
class GradebookPage:
    """staff/gradebook.html. students: that the filter shows; everybody: in the course. problem: with the filter.

    sort: name, login, section or the name of an assignment, with "-" before it for descending.
    """

    course: str
    columns: tuple[BookColumn, ...]
    rows: tuple[BookRow, ...]
    students: int
    everybody: int
    query: str = ""
    sort: str = "name"
    page: int = 1
    pages: int = 1
    problem: str = ""

    def order(self, key: str) -> Literal["ascending", "descending", "none"]:
        if self.sort.lstrip("-") != key:
            return "none"
        return "descending" if self.sort.startswith("-") else "ascending"

    def sorted_by(self, key: str) -> str:
        """The address of this page sorted by a column; by the same one again, the other way round."""
        return self.address(sort=f"-{key}" if self.sort == key else key)

    def address(self, *, sort: str | None = None, form: str = "") -> str:
        """The first page of the same filter. form: ".csv" for a file of all its pages."""
        sort = self.sort if sort is None else sort
        query = {"q": self.query, **({"sort": sort} if sort != "name" else {})}
        asked = urlencode({key: value for key, value in query.items() if value})
        return f"/courses/{self.course}/gradebook{form}" + (f"?{asked}" if asked else "")

    @property
    def paged(self) -> str:
        """An address that the number of a page can be put behind."""
        address = self.address()
        return f"{address}{'&' if '?' in address else '?'}page="


# One student, and the forms that change a grade ------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class OverrideInForce:
    score: float
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionInForce:
    """due_at: none when only attempts were added."""

    due_at: datetime | None
    extra_attempts: int
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GradeForms:
    """The override and extension forms of one student and assignment. after: the address to come back to.

    local_due: the deadline that holds now, as datetime-local takes it.
    """

    course: str
    assignment: str
    login: str
    max_score: float
    after: str
    cell: Cell
    local_due: str = ""
    override: OverrideInForce | None = None
    extension: ExtensionInForce | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentGrade:
    """One assignment of one student. attempts: newest first; used: those that cost one; limit: none is any number."""

    title: str
    forms: GradeForms
    due_at: datetime | None
    used: int
    limit: int | None
    attempts: tuple[AttemptRow, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentPage:
    """staff/student.html. history: changes about this student, newest first."""

    course: str
    login: str
    name: str
    section: str
    role: str
    grades: tuple[StudentGrade, ...]
    history: tuple[AuditLine, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceMark:
    """Lines that a check failed on. why: "softmax: 2 checks fail here"."""

    first: int
    last: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceBlock:
    """A code cell, or a whole script. title: "Code cell 3". html: of markup.code_html. marks: in order."""

    anchor: str
    title: str
    html: Markup
    marks: tuple[SourceMark, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffSubmissionPage:
    """staff/submission.html: source left, report right. why_not: why the upload cannot be read; then no blocks."""

    submission: SubmissionPage
    login: str
    name: str
    section: str
    blocks: tuple[SourceBlock, ...]
    forms: GradeForms
    why_not: str = ""


# Statistics ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakeGroup:
    """A known mistake and how many students' counting attempts show it."""

    name: str
    part: str
    hint: str
    students: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StatisticsPage:
    """staff/statistics.html. Charts are empty without anything to draw. others: (name, title) of all assignments."""

    course: str
    assignment: str
    title: str
    max_score: float
    students: int
    graded: int
    missing: int
    open: int
    full_marks: int
    mean: float | None
    scores: Markup
    rates: Markup
    common: Markup
    attempts: Markup
    mistakes: tuple[MistakeGroup, ...] = ()
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakeStudent:
    login: str
    name: str
    section: str
    submission: int
    number: int
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakePage:
    """staff/mistake.html. snippet: what typically causes it, of the submission snippet_of; empty when none is found."""

    course: str
    assignment: str
    title: str
    max_score: float
    group: MistakeGroup
    students: tuple[MistakeStudent, ...]
    snippet: Markup
    snippet_of: MistakeStudent | None = None


# Regrades --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RegradeChoice:
    """What a regrade of one assignment would run. Seconds are none when nothing is known yet."""

    name: str
    title: str
    counting: int
    counting_s: float | None
    every: int
    every_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RegradeRow:
    id: int
    title: str
    state: RegradeState
    submissions: int
    every_attempt: bool
    reason: str
    by: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RegradesPage:
    """staff/regrades.html. rows: newest first. chosen: the assignment that the form starts with."""

    course: str
    choices: tuple[RegradeChoice, ...]
    rows: tuple[RegradeRow, ...]
    chosen: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegradePage:
    """staff/regrade.html. changes: of this page, changed ones first. titles: of checks, by id. faults: no verdict."""

    course: str
    row: RegradeRow
    assignment: str
    max_score: float
    done: int
    total: int
    seconds_left: float | None = None
    changes: tuple[Change, ...] = ()
    changed: int = 0
    better: int = 0
    worse: int = 0
    faults: int = 0
    titles: Mapping[str, str] = field(default_factory=dict)
    page: int = 1
    pages: int = 1
