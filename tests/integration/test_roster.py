"""Rosters: every wrong line is named, nobody is enrolled by half a file, nobody gives a role above their own."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from grader.errors import Conflict, Forbidden, GraderError, Invalid
from grader.service import access, accounts, roster
from grader.service.access import SHELL, Actor
from grader.store.models import AuditEvent, Course, Enrolment, Grade, SignInLink, User
from grader.store.states import Role

from .service import Kit

HEAD = b"login,name,email,section,role\n"


def apply(kit: Kit, by: Actor, data: bytes, course: str = "dl") -> roster.Imported:
    with kit.service.store.write() as session:
        found = session.scalars(select(Course).where(Course.name == course)).one()
        return roster.apply(session, by, found, data, kit.service.now())


def logins(kit: Kit) -> set[str]:
    with kit.service.store.read() as session:
        return set(session.scalars(select(User.login)))


def test_a_file_enrols_everybody_with_a_link_and_a_row_for_each_assignment(kit: Kit) -> None:
    text = "学号,姓名,班级\n20260001,王小明,一班\n20260002,李雷,二班\n"
    for number, data in enumerate((text.encode("gbk"), text.encode("utf-8-sig"), text.replace(",", ";").encode())):
        done = apply(kit, kit.actor("teacher"), data)
        assert (done.new, len(done.links)) == ((2, 2) if number == 0 else (0, 0))
    with kit.service.store.read() as session:
        user = session.scalars(select(User).where(User.login == "20260001")).one()
        assert user.name == "王小明"
        assert len(session.scalars(select(Grade).where(Grade.user_id == user.id)).all()) == 3
        assert all(token not in link.digest for link in session.scalars(select(SignInLink)) for token in done.links)


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b"\xff\xfe\x00", 0, "UTF-8"),
        (b"", 0, "nobody"),
        (HEAD, 0, "nobody"),
        (b"name\nAda\n", 1, "login and name"),
        (HEAD + b"a b,Ada,,,\n", 2, "login"),
        (HEAD + b"x1,,,,\n", 2, "needs a name"),
        (HEAD + b"x1,Ada,nonsense,,\n", 2, "e-mail"),
        (HEAD + b"x1,Ada,,,king\n", 2, "no role"),
        (HEAD + b"x1,Ada,,,\nx2,Bo,,,\n\nX1,Ada,,,\n", 5, "line 2"),
        (HEAD + b'x1,"Ada,,,\n', 2, "CSV"),
        (HEAD + b"x1,Ada\x07,,,\n", 2, "name"),
        (HEAD + b"x1,Ada,," + b"s" * 41 + b",\n", 2, "section"),
        (HEAD + b"x1,Ada,,,\nx2,Bo,,,ta,,\n", 3, "Line 3 has 7 fields, the first line has 5."),
        (HEAD + b"x1\n", 2, "Line 2 has 1 fields, the first line has 5."),
        (HEAD + b"2.0261E+11,Ada,,,\n", 2, "Excel has turned the number into 2.0261E+11; format the column as text"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_changed(kit: Kit, data: bytes, line: int, said: str) -> None:
    before = logins(kit)
    errors = roster.read(data).errors
    assert [error.line for error in errors] == [line]
    assert said in errors[0].text.en
    with pytest.raises(Invalid):
        apply(kit, kit.actor("root"), data)
    assert logins(kit) == before


def test_a_preview_tells_new_from_changed_and_changes_nothing(kit: Kit) -> None:
    data = HEAD + b"ada,Ada Abel,ada@example.org,A,\nbob,Bob Birk,bob@example.org,B,\nnew,Neu,,,\n"
    with kit.service.store.read() as session:
        course = session.scalars(select(Course).where(Course.name == "dl")).one()
        shown = roster.preview(session, kit.actor("teacher"), course, data)
    assert (set(shown.new), set(shown.changed), shown.same) == ({"new"}, {"bob"}, 1)
    assert shown.changes == {"bob": {"section": ("A", "B")}}
    assert not shown.errors
    assert not shown.warnings
    assert "new" not in logins(kit)


def test_a_preview_warns_of_every_change_of_role(kit: Kit) -> None:
    data = HEAD + b"ada,Ada Abel,,A,ta\ntina,Tina Tal,,A,student\ntom,Tom Thorn,,B,instructor\nnew,Neu,,,ta\n"
    with kit.service.store.read() as session:
        course = session.scalars(select(Course).where(Course.name == "dl")).one()
        warnings = roster.preview(session, kit.actor("root"), course, data).warnings
    assert [(warning.line, warning.text.en) for warning in warnings] == [
        (2, "ada: student -> ta; their grades are no longer listed"),
        (3, "tina: ta -> student; they are listed in the grades"),
        (4, "tom: ta -> instructor"),
    ]


def test_who_has_signed_in_gets_no_link(kit: Kit) -> None:
    with kit.service.store.write() as session:
        for login in ("came", "waits"):
            user = roster.add_user(session, SHELL, roster.person(login, "New"), kit.service.now())
            token = accounts.make_link(session, user, kit.service.now())
            if login == "came":
                accounts.use_link(session, token, kit.service.now())
    done = apply(kit, SHELL, b"login,name\ncame,New\nwaits,New\nunknown,New\n")
    assert set(done.links) == {"waits", "unknown"}
    with kit.service.store.write() as session:
        course = session.scalars(select(Course).where(Course.name == "dl")).one()
        made = {user.login: token for user, token in roster.new_links(session, SHELL, course, kit.service.now())}
        assert set(made) == {"waits", "unknown"}
        assert accounts.use_link(session, made["waits"], kit.service.now()).login == "waits"


@pytest.mark.parametrize(
    ("by", "line"),
    [("teacher", b"x1,Xi,,,admin"), ("teacher", b"root,Rosa Roth,,,student"), ("tina", b"x,X,,,instructor")],
)
def test_nobody_gives_or_takes_a_role_above_their_own(kit: Kit, by: str, line: bytes) -> None:
    with pytest.raises((Forbidden, Invalid)):
        apply(kit, kit.actor(by), HEAD + line + b"\n")
    with kit.service.store.read() as session:
        roles = session.scalars(select(Enrolment.role).join(User).where(User.login == "root")).all()
    assert roles == [Role.ADMIN]
    assert not {"x1", "x"} & logins(kit)


def test_a_course_keeps_an_administrator(kit: Kit) -> None:
    with pytest.raises(Conflict):
        apply(kit, kit.actor("root"), HEAD + b"root,Rosa Roth,,,student\n")


def test_a_teacher_of_one_course_gains_nothing_over_people_of_another(kit: Kit) -> None:
    """Enrolling somebody elsewhere must give neither their account nor their name into other hands."""
    done = apply(kit, kit.actor("olga"), HEAD + b"ada,Not Ada,evil@example.org,,\ntina,Not Tina,,,\n", "other")
    assert done.links == {}
    with kit.service.store.read() as session:
        assert session.scalars(select(User.name).where(User.login == "ada")).one() == "Ada Abel"
    with pytest.raises(Forbidden):
        new_link(kit, "olga", "other", "ada")
    with pytest.raises(Forbidden):
        new_link(kit, "olga", "other", "tina")
    assert new_link(kit, "olga", "other", "otto")


def new_link(kit: Kit, by: str, course: str, login: str) -> str:
    with kit.service.store.write() as session:
        found = access.course(session, kit.actor(by), course)
        return roster.new_link(session, kit.actor(by), found, login, kit.service.now())


def test_every_change_is_in_the_log(kit: Kit) -> None:
    apply(kit, kit.actor("teacher"), HEAD + b"ada,Ada Abel,ada@example.org,B,\n")
    with kit.service.store.read() as session:
        event = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(1)).one()
    assert (event.action, event.actor_id) == ("roster.change", kit.ids["teacher"])
    assert event.before is not None
    assert event.after is not None
    assert (event.before["section"], event.after["section"]) == ("A", "B")


def test_a_file_with_too_many_lines_is_refused() -> None:
    data = b"login,name\n" + b"".join(b"u%d,U\n" % number for number in range(roster.MOST_ROWS + 1))
    assert "more than 5000" in roster.read(data).errors[0].text.en


def test_strangers_are_not_found(kit: Kit) -> None:
    with pytest.raises(GraderError, match="nothing here"):
        new_link(kit, "ada", "other", "otto")
