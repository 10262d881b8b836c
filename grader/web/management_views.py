"""What the staff pages about people, terms and machines need, one frozen record a page; templates/staff/ shows them.

As in staff_views, titles and sentences are in the language of the page, and `problems` holds sentences by field.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode

from grader.service.exports import safe
from grader.store.states import Counting, Release

# Roster ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterRow:
    """state: invited (has never set a password), joined, or left (may no longer sign in)."""

    login: str
    name: str
    email: str
    section: str
    role: str
    state: Literal["invited", "joined", "left"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterError:
    """line: of the file, from 1; 0 for the file as a whole."""

    line: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterEntry:
    """A line of the file that would change something. was: what differs now, "section 2"; empty for a new member."""

    line: int
    login: str
    name: str
    section: str
    role: str
    was: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterPreview:
    """What an import would do. text: the file, which the second step sends again."""

    text: str
    entries: tuple[RosterEntry, ...] = ()
    unchanged: int = 0
    errors: tuple[RosterError, ...] = ()
    warnings: tuple[str, ...] = ()  # changes of role, in words

    @property
    def added(self) -> int:
        return sum(not entry.was for entry in self.entries)


@dataclass(frozen=True, kw_only=True, slots=True)
class RosterPage:
    """staff/roster.html. links: login, name and address of invitations just made, shown this once."""

    course: str
    rows: tuple[RosterRow, ...]
    students: int
    staff: int
    may_import: bool = True
    preview: RosterPreview | None = None
    links: tuple[tuple[str, str, str], ...] = ()
    links_days: int = 14
    page: int = 1
    pages: int = 1

    @property
    def links_csv(self) -> str:
        """The links as a file that spreadsheets open."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("login", "name", "link"))
        writer.writerows([safe(value) for value in row] for row in self.links)
        return out.getvalue()


# Deadlines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class TermsForm:
    """The terms of one assignment. Times are local, as datetime-local takes them; empty means none.

    problems: of this form when it was refused; then the other fields hold what had been typed. sure: scores would
    change, so sending it again, with a reason, means that this is wanted.
    """

    name: str
    title: str
    opens_at: str
    due_at: str
    late_days: str
    late_percent: str
    attempt_limit: str
    counting: Counting
    release: Release
    handed_in: int = 0
    saved: bool = False
    sure: bool = False
    reason: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadlinesPage:
    """staff/deadlines.html. addable: (name, title) of assignments that are not published yet."""

    course: str
    forms: tuple[TermsForm, ...]
    addable: tuple[tuple[str, str], ...] = ()
    may_change: bool = True


# Audit log and system --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditLine:
    """One event in words. actor, user: logins. changes: what, before and after; empty texts where there was nothing."""

    id: int
    at: datetime
    actor: str
    user: str
    action: str
    subject: str
    reason: str
    via: str
    changes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditPage:
    """staff/audit.html. actions: (code, word) to choose from. older: where the next page begins; none on the last."""

    course: str
    rows: tuple[AuditLine, ...]
    actions: tuple[tuple[str, str], ...]
    action: str = ""
    person: str = ""
    newest: bool = True
    older: int | None = None

    @property
    def older_address(self) -> str:
        query = {"action": self.action, "person": self.person, "before": self.older}
        return f"/courses/{self.course}/audit?" + urlencode({k: v for k, v in query.items() if v})


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedJob:
    """A grading that has ended without a verdict."""

    id: int
    submission: int
    error: str
    tries: int
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRow:
    """host, process: where it runs. slots: gradings at once. alive: announced itself of late.

    version: of the grader; libraries: (name, version) in its runner. differs: what it has in another version than the
    process that makes this page. examined_at: of its last self-test, none before the first; failed: why that failed,
    empty when it held.
    """

    host: str
    process: str
    mode: str
    runtimes: tuple[str, ...]
    slots: int
    started_at: datetime
    seen_at: datetime
    alive: bool
    version: str = ""
    libraries: tuple[tuple[str, str], ...] = ()
    differs: tuple[str, ...] = ()
    examined_at: datetime | None = None
    failed: str = ""
    held: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerRow:
    """What doctor found of one layer, or one attempt of its self-test. command: what gives a layer that is missing."""

    name: str
    held: bool
    evidence: str
    command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemPage:
    """staff/system.html. mode: the weakest of all workers, empty without one. advice: what gives mode A here.

    absent: runtimes that are not installed, with what adds them. version: of the grader. layers, attempts: of the
    worker that was seen last; empty before it has examined itself.
    """

    queued: int
    running: int
    failed_jobs: int
    oldest: datetime | None
    version: str
    mode: str = ""
    missing: tuple[str, ...] = ()
    advice: str = ""
    absent: tuple[tuple[str, str], ...] = ()
    failed: tuple[FailedJob, ...] = ()
    workers: tuple[WorkerRow, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    attempts: tuple[LayerRow, ...] = ()
