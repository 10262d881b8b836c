"""What was accepted against what the database holds: lost, duplicated, wrong, without a verdict."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from grader.assignments import load
from grader.reports import Report, ReportStatus, to_record
from grader.store.codec import unpack_report
from grader.store.engine import Store
from grader.store.models import Grade, Job, StoredReport, Submission, User
from grader.store.states import JobState, SubmissionState

from .scene import ASSIGNMENT, PROJECT, Scene, stories
from .students import Told


@dataclass
class Findings:
    """Counts of what must be 0, with the first cases in words."""

    accepted: int = 0
    graded: int = 0
    reused: int = 0
    again: int = 0  # graded by more than one attempt
    compared: int = 0  # whole reports compared with a grading in peace
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    without_verdict: list[str] = field(default_factory=list)
    unaccounted: list[str] = field(default_factory=list)  # grades and jobs that do not fit the submissions

    def failures(self) -> dict[str, list[str]]:
        return {
            "lost": self.lost, "duplicated": self.duplicated, "wrong": self.wrong,
            "without a verdict": self.without_verdict, "inconsistent": self.unaccounted,
        }  # fmt: skip


def verdict_of(report: Report) -> dict[str, Any]:
    """Score, statuses and diagnosis, and nothing that depends on the inputs drawn."""
    return {
        "status": str(report.status),
        "score": report.score,
        "checks": {check.id: (str(check.status), check.points, check.mistake) for check in report.checks},
    }


def whole(report: Report) -> str:
    """Everything a report says but times."""
    record = to_record(report)
    assert isinstance(record, dict)
    record.pop("timings_ms")
    for check in record["checks"]:
        check.pop("wall_ms")
    return json.dumps(record, sort_keys=True)


def calm_verdicts(scene: Scene) -> dict[str, dict[str, Any]]:
    """{story: verdict} of a grading in peace, each proved to be what the story expects."""
    engine, assignment = scene.engine(), load(PROJECT / "reference" / ASSIGNMENT)
    try:
        found = {}
        for name, story in stories().items():
            report = engine.grade(assignment, story.file, story.data)
            assert story.differences(report) == [], f"{name}: {story.differences(report)}"
            found[name] = verdict_of(report)
        return found
    finally:
        engine.close()
        engine.sandbox.close()


def compare(store: Store, told: Sequence[Told], calm: Mapping[str, Mapping[str, Any]]) -> Findings:
    """Every submission against what students were told and what a calm run says."""
    found = Findings(accepted=len(told))
    with store.read() as session:
        submissions = {row.id: row for row in session.scalars(select(Submission))}
        logins = {number: login for number, login in session.execute(select(User.id, User.login))}
        reports: dict[int, list[StoredReport]] = {}
        for stored in session.scalars(select(StoredReport)):
            reports.setdefault(stored.submission_id, []).append(stored)
        jobs = session.scalars(select(Job)).all()
        found.again = sum(job.attempts > 1 for job in jobs)
        _taken(found, told, submissions, logins)
        for item in told:
            submission = submissions.get(item.submission)
            if submission is not None:
                _graded(found, item, submission, reports.get(submission.id, []), calm[item.story])
        for job in jobs:
            if job.state is not JobState.DONE:
                found.unaccounted.append(f"job {job.id} of submission {job.submission_id} is {job.state}")
        for submission_id, count in Counter(job.submission_id for job in jobs).items():
            if count > 1:
                found.duplicated.append(f"submission {submission_id} has {count} jobs")
        for grade in session.scalars(select(Grade)):
            whose = (grade.user_id, grade.published_id)
            mine = [row for row in submissions.values() if (row.user_id, row.published_id) == whose]
            counted = [row.score or 0.0 for row in mine if row.state is SubmissionState.GRADED]
            if grade.attempts != len(counted) or (counted and grade.score != max(counted)):
                found.unaccounted.append(
                    f"{logins[grade.user_id]}: grade {grade.score} after {grade.attempts} attempts, not {counted}"
                )
    return found


def _taken(
    found: Findings, told: Sequence[Told], submissions: Mapping[int, Submission], logins: Mapping[int, str]
) -> None:
    """None that was acknowledged is missing, and a repeated request made no second submission."""
    for item in told:
        row = submissions.get(item.submission)
        if row is None:
            found.lost.append(f"{item.student} {item.key}: there is no submission {item.submission}")
        elif (logins[row.user_id], row.idempotency_key) != (item.student, item.key):
            found.wrong.append(f"{item.student} {item.key}: submission {row.id} belongs to somebody else")
        elif row.blob_digest != hashlib.sha256(item.data).hexdigest():
            found.wrong.append(f"{item.student} {item.key}: submission {row.id} has another file")
    for submission_id in submissions.keys() - {item.submission for item in told}:
        found.duplicated.append(f"submission {submission_id}: nobody was told of it")
    for submission_id, count in Counter(item.submission for item in told).items():
        if count > 1:
            found.duplicated.append(f"submission {submission_id} stands for {count} uploads")
    numbers: dict[int, list[int]] = {}
    for row in submissions.values():
        numbers.setdefault(row.user_id, []).append(row.number)
    for user, mine in numbers.items():
        if sorted(mine) != list(range(1, len(mine) + 1)):
            found.unaccounted.append(f"{logins[user]}: attempts are numbered {sorted(mine)}")


def _graded(
    found: Findings, item: Told, submission: Submission, stored: Sequence[StoredReport], calm: Mapping[str, Any]
) -> None:
    """It has exactly one report, which is the current one and says what the calm one says."""
    who = f"{item.student} {item.key} ({item.story}, submission {submission.id})"
    if not stored:
        found.lost.append(f"{who} is {submission.state}, without a report")
        return
    if len(stored) > 1:
        found.duplicated.append(f"{who} has {len(stored)} reports")
    current = next((row for row in stored if row.id == submission.report_id), None)
    if current is None:
        found.lost.append(f"{who} has a report that is not the current one")
        return
    report = unpack_report(current.content)
    if report.status is ReportStatus.GRADER_ERROR:
        found.without_verdict.append(who)
        return
    found.graded += 1
    found.reused += current.reused_from_id is not None
    said = verdict_of(report)
    if said != calm or submission.score != (said["score"] if said["status"] == "graded" else None):
        different = {key: (said["checks"].get(key), value) for key, value in calm["checks"].items()}
        different = {key: pair for key, pair in different.items() if pair[0] != pair[1]}
        found.wrong.append(f"{who}: {said['status']} {said['score']} for {calm['score']}; {different}")


def compare_whole(scene: Scene, told: Sequence[Told], found: Findings, count: int, luck: random.Random) -> None:
    """Some reports word for word, numbers included, with a grading of the same file in peace."""
    engine, assignment = scene.engine(), load(PROJECT / "reference" / ASSIGNMENT)
    try:
        for item in luck.sample(list(told), min(count, len(told))):
            with scene.store.read() as session:
                submission = session.get(Submission, item.submission)
                stored = submission and session.get(StoredReport, submission.report_id or 0)
                kept = unpack_report(stored.content) if stored else None
            if kept is None:
                continue
            calm = engine.grade(assignment, stories()[item.story].file, item.data)
            found.compared += 1
            if whole(kept) != whole(calm):
                found.wrong.append(f"{item.student} {item.key} ({item.story}): the report differs from a calm one")
    finally:
        engine.close()
        engine.sandbox.close()


def waiting(store: Store) -> int:
    """Jobs that wait or run."""
    with store.read() as session:
        return session.scalar(select(func.count()).where(Job.state.in_([JobState.QUEUED, JobState.RUNNING]))) or 0
