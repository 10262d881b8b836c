"""The first administrator, and the demo course: something to sign in to on a fresh machine. Every name is made up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.service import accounts, publishing, recording, roster
from grader.service.access import SHELL
from grader.service.catalogue import Catalogue
from grader.service.roster import Person
from grader.store.models import Course, User
from grader.store.states import Role

ADMINISTRATOR = "admin"
COURSE = "demo"
_TITLE, _ZONE = "Demo course", "UTC"
_DUE = timedelta(days=14)
_PEOPLE = (
    Person(line=0, login=ADMINISTRATOR, name="Administrator", role=Role.ADMIN),
    Person(line=0, login="tessa", name="Tessa Brandt", role=Role.TA),
    Person(line=0, login="ada", name="Ada Marlow", section="1"),
    Person(line=0, login="xiaohe", name="林小禾", section="2"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """Somebody who has never signed in, and the token of the link that does it. role: in the demo course."""

    login: str
    name: str
    role: Role
    token: str


def first_administrator(session: Session, now: datetime) -> None:
    """Makes the first user of an empty database."""
    if session.scalar(select(User.id).limit(1)) is None:
        roster.add_user(session, SHELL, _PEOPLE[0], now)


def make_demo(session: Session, catalogue: Catalogue, runtimes: Collection[str], now: datetime) -> None:
    """The demo course with every assignment whose runtime is there; what came since the last start is added."""
    course = session.scalar(select(Course).where(Course.name == COURSE))
    if course is None:
        course = publishing.make_course(session, SHELL, COURSE, _TITLE, _ZONE, now)
        for person in _PEOPLE:
            roster.enrol(session, SHELL, course, person, now)
        recording.make_rows(session, course.id, now)
    there = {published.name for published in publishing.listed(session, course.id)}
    due = (now + _DUE).replace(hour=23, minute=59, second=0, microsecond=0)
    for name in catalogue.names:
        if name not in there and catalogue.get(name).runtime in runtimes:
            rules = publishing.Rules(opens_at=now - timedelta(minutes=1), due_at=due)
            publishing.publish(session, SHELL, course, catalogue, name, rules, now)


def invitations(session: Session, now: datetime, *, demo: bool, links: bool = True) -> list[Invitation]:
    """New sign-in links of the first administrator and, in a demo, its people: of those who have never signed in.

    links: else only who they are; a link that they were given stays.
    """
    made = []
    for person in _PEOPLE if demo else _PEOPLE[:1]:
        user = session.scalar(select(User).where(User.login == person.login, User.active))
        if user is not None and not accounts.has_signed_in(session, user):
            token = accounts.make_link(session, user, now) if links else ""
            made.append(Invitation(login=user.login, name=user.name, role=person.role, token=token))
    return made
