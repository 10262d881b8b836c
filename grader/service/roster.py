"""Who is in a course: one at a time, or a CSV file that is first shown and then applied as a whole.

The file has a line of headings: login, name, and optionally email, section, role. Every line is looked at before
anything is changed; errors name their line.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.errors import Conflict, Forbidden, Invalid, Refused
from grader.reports import Text
from grader.service import accounts, audit, recording
from grader.service.access import Actor, member
from grader.store.models import Course, Enrolment, User
from grader.store.states import Role

MOST_ROWS, MOST_ERRORS = 5000, 100
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_EMAIL = re.compile(r"[^@\s<>]{1,200}@[^@\s<>]{1,100}")
_BY_EXCEL = re.compile(r"\d([.,]\d+)?[eE]\+\d+")  # 202610000001 becomes 2.0261E+11
_COLUMNS = ("login", "name", "email", "section", "role")
_HEADINGS = {
    "login": "login", "username": "login", "user": "login", "student id": "login", "student_id": "login",
    "学号": "login", "用户名": "login", "账号": "login",
    "name": "name", "full name": "name", "姓名": "name", "名字": "name",
    "email": "email", "e-mail": "email", "mail": "email", "邮箱": "email", "电子邮件": "email", "section": "section",
    "class": "section", "group": "section", "班级": "section", "分组": "section", "role": "role", "角色": "role",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """One line of a roster. line: from 1, the headings included."""

    line: int
    login: str
    name: str
    email: str | None = None
    section: str = ""
    role: Role = Role.STUDENT


@dataclass(frozen=True, kw_only=True, slots=True)
class LineError:
    """line: 0 when the file as a whole is wrong."""

    line: int
    text: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What a file would do. new: not in the course yet; same: nothing to do.

    changes: by login, what of name, email, section and role is another one, as (before, after). warnings: what the file
    may do, but what somebody who looks only at its length would not expect.
    """

    people: tuple[Person, ...]
    errors: tuple[LineError, ...]
    new: frozenset[str] = frozenset()
    changes: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
    warnings: tuple[LineError, ...] = ()

    @property
    def changed(self) -> frozenset[str]:
        return frozenset(self.changes)

    @property
    def same(self) -> int:
        return len(self.people) - len(self.new) - len(self.changed)


def read(data: bytes) -> Preview:
    """The people in a CSV file, in UTF-8 or GBK (what Excel writes), with commas, semicolons or tabs."""
    text = decoded(data)
    if text is None or "\0" in text:
        return _wrong(
            "The file is not text in UTF-8. Save it as CSV (UTF-8).", "文件不是 UTF-8 文本。请另存为 CSV（UTF-8）。"
        )
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        return _read(rows)
    except csv.Error as error:
        return _wrong(
            f"Line {rows.line_num} is not CSV: {error}.",
            f"第 {rows.line_num} 行不是有效的 CSV：{error}。",
            rows.line_num,
        )


def decoded(data: bytes) -> str | None:
    """The text of a file in UTF-8 or GBK; none when it is in neither."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _wrong(en: str, zh: str, line: int = 0) -> Preview:
    return Preview(people=(), errors=(LineError(line=line, text=Text(en=en, zh=zh)),))


def _read(rows: "csv._reader") -> Preview:  # type: ignore[name-defined]  # noqa: UP037
    columns: list[str] = []
    people: list[Person] = []
    errors: list[LineError] = []
    seen: dict[str, int] = {}
    for cells in rows:
        line = rows.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = [_HEADINGS.get(cell.strip().lower(), "") for cell in cells]
            if "login" not in columns or "name" not in columns:
                return _wrong(
                    "The first line must name the columns: login and name, and if you like email, section and role.",
                    "第一行必须是列名；login（学号）和 name（姓名）是必需的，还可以有 email、section、role。", line,
                )  # fmt: skip
            continue
        if len(errors) >= MOST_ERRORS:  # a file of another kind: more of them would help nobody
            break
        if len(people) >= MOST_ROWS:
            return _wrong(f"The file has more than {MOST_ROWS} people.", f"文件超过了 {MOST_ROWS} 人。", line)
        needed = 1 + max(columns.index("login"), columns.index("name"))  # spreadsheets drop empty cells at the end
        if not needed <= len(cells) <= len(columns):
            errors.append(_wrong_length(line, len(cells), len(columns)))
            continue
        found = _person(line, dict(zip(columns, (cell.strip() for cell in cells), strict=False)))
        if isinstance(found, LineError):
            errors.append(found)
        elif found.login in seen:
            errors.append(
                _error(
                    line,
                    f"{found.login} is on line {seen[found.login]} already.",
                    f"{found.login} 在第 {seen[found.login]} 行已经出现。",
                )
            )
        else:
            seen[found.login] = line
            people.append(found)
    if not columns or not (people or errors):
        return _wrong("The file holds nobody.", "文件里没有任何人。")
    return Preview(people=tuple(people), errors=tuple(errors))


def _wrong_length(line: int, fields: int, columns: int) -> LineError:
    """A comma too many or too few moves every field after it into the wrong column."""
    en = f"Line {line} has {fields} fields, the first line has {columns}."
    return LineError(line=line, text=Text(en=en, zh=f"第 {line} 行有 {fields} 个字段，第一行有 {columns} 个。"))


def _person(line: int, cells: Mapping[str, str]) -> Person | LineError:
    login = cells.get("login", "").casefold()
    name = cells.get("name", "")
    if _BY_EXCEL.fullmatch(login):
        shown = login.upper()
        return _error(
            line, f"Excel has turned the number into {shown}; format the column as text.",
            f"Excel 把数字变成了 {shown}；请将该列设置为文本格式。",
        )  # fmt: skip
    if not _LOGIN.fullmatch(login):
        return _error(
            line, f"the login {login[:40]!r} may hold small letters, digits and . _ @ + - only.",
            f"用户名 {login[:40]!r} 只能包含小写字母、数字和 . _ @ + -。",
        )  # fmt: skip
    if not name or len(name) > 200 or any(unicodedata.category(c) == "Cc" for c in name):
        return _error(line, f"{login} needs a name of 1 to 200 characters.", f"{login} 需要 1 到 200 个字符的姓名。")
    email = cells.get("email", "")
    if email and not _EMAIL.fullmatch(email):
        return _error(line, f"{email[:60]!r} is not an e-mail address.", f"{email[:60]!r} 不是电子邮件地址。")
    section = cells.get("section", "")
    if len(section) > 40 or any(unicodedata.category(c) == "Cc" for c in section):
        return _error(line, "a section has at most 40 characters.", "班级名最多 40 个字符。")
    role = cells.get("role", "").lower() or "student"
    if role not in list(Role):
        return _error(
            line,
            f"{role[:20]!r} is no role; roles are {', '.join(Role)}.",
            f"{role[:20]!r} 不是角色；角色有 {'、'.join(Role)}。",
        )
    return Person(line=line, login=login, name=name, email=email or None, section=section, role=Role(role))


def _error(line: int, en: str, zh: str) -> LineError:
    return LineError(line=line, text=Text(en=f"Line {line}: {en}", zh=f"第 {line} 行：{zh}"))


def preview(session: Session, actor: Actor, course: Course, data: bytes) -> Preview:
    """What a file would change, without changing it."""
    read_in = read(data)
    known = {
        user.login: (enrolment, user)
        for enrolment, user in session.execute(
            select(Enrolment, User).join(User).where(Enrolment.course_id == course.id)
        )
    }
    errors = list(read_in.errors)
    for person in read_in.people:
        try:
            may_give(actor, course, person.role)
        except Refused as error:
            errors.append(_error(person.line, error.text.en, error.text.zh))
    new = {person.login for person in read_in.people if person.login not in known}
    changes = {p.login: found for p in read_in.people if p.login in known and (found := _changes(p, *known[p.login]))}
    moved = [p for p in read_in.people if "role" in changes.get(p.login, {})]
    return Preview(
        people=read_in.people, errors=tuple(sorted(errors, key=lambda e: e.line)), new=frozenset(new), changes=changes,
        warnings=tuple(_warning(person, *changes[person.login]["role"]) for person in moved),
    )  # fmt: skip


def _changes(person: Person, enrolment: Enrolment, user: User) -> dict[str, tuple[str, str]]:
    pairs = {
        "name": (user.name, person.name), "email": (user.email or "", person.email or user.email or ""),
        "section": (enrolment.section, person.section), "role": (str(enrolment.role), str(person.role)),
    }  # fmt: skip
    return {key: (before, after) for key, (before, after) in pairs.items() if before != after}


def _warning(person: Person, before: str, after: str) -> LineError:
    """A change of role: students stand in the grades, others do not."""
    en, zh = f"{person.login}: {before} -> {after}", f"{person.login}：{before} -> {after}"
    if before == Role.STUDENT:
        en, zh = f"{en}; their grades are no longer listed", f"{zh}；其成绩将不再列出"
    elif after == Role.STUDENT:
        en, zh = f"{en}; they are listed in the grades", f"{zh}；其成绩将会列出"
    return LineError(line=person.line, text=Text(en=en, zh=zh))


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did. links: token of the invitation link by login, for those who never signed in."""

    new: int
    changed: int
    links: Mapping[str, str]


def apply(session: Session, actor: Actor, course: Course, data: bytes, now: datetime) -> Imported:
    """Enrols everybody in a file, or nobody: raises Invalid naming the first wrong line."""
    shown = preview(session, actor, course, data)
    if shown.errors:
        first = shown.errors[0].text
        raise Invalid("file", first.en, first.zh)
    links: dict[str, str] = {}
    for person in shown.people:
        user = enrol(session, actor, course, person, now)
        invited = person.login in shown.new and not accounts.has_signed_in(session, user)
        if invited and _controls(session, actor, user):
            links[person.login] = accounts.make_link(session, user, now)
    recording.make_rows(session, course.id, now)
    return Imported(new=len(shown.new), changed=len(shown.changed), links=links)


def person(login: str, name: str, email: str = "", section: str = "", role: str = "") -> Person:
    """One person from text, held to the same rules as a line of a file. Raises Invalid."""
    cells = {"login": login, "name": name, "email": email, "section": section, "role": role}
    found = _person(0, {key: cell.strip() for key, cell in cells.items()})
    if isinstance(found, LineError):
        raise Invalid("login", found.text.en.removeprefix("Line 0: "), found.text.zh.removeprefix("第 0 行："))
    return found


def add_user(session: Session, actor: Actor, person: Person, now: datetime) -> User:
    """Somebody who is in no course yet. Raises Conflict."""
    if session.scalar(select(User.id).where(User.login == person.login)) is not None:
        raise Conflict(f"There is a user {person.login} already.", f"已经有名为 {person.login} 的用户。")
    user = User(login=person.login, name=person.name, email=person.email, created_at=now)
    session.add(user)
    session.flush()
    audit.note(session, actor, "user.add", user.login, now, user_id=user.id)
    return user


def enrol(session: Session, actor: Actor, course: Course, person: Person, now: datetime) -> User:
    """Adds one person to a course, or changes what is known of them. Grade rows are the caller's (make_rows).

    Name and e-mail of somebody who is in other courses too are theirs to change. Raises Forbidden, Conflict.
    """
    may_give(actor, course, person.role)
    user = session.scalar(select(User).where(User.login == person.login))
    if user is None:
        user = User(login=person.login, name=person.name, email=person.email, created_at=now)
        session.add(user)
        session.flush()
    enrolment = session.scalar(select(Enrolment).where(Enrolment.course_id == course.id, Enrolment.user_id == user.id))
    before = None if enrolment is None else _shown(enrolment, user)
    if _controls(session, actor, user):
        user.name, user.email = person.name, person.email or user.email
    if enrolment is None:
        enrolment = Enrolment(course_id=course.id, user_id=user.id, created_at=now)
        session.add(enrolment)
    elif enrolment.role is not person.role:
        may_give(actor, course, enrolment.role)
        keep_an_admin(session, course, enrolment)
    enrolment.role, enrolment.section = person.role, person.section
    session.flush()
    after = _shown(enrolment, user)
    if before != after:
        action = "roster.add" if before is None else "roster.change"
        audit.note(
            session, actor, action, user.login, now, course_id=course.id, user_id=user.id, before=before, after=after
        )
    return user


def may_give(actor: Actor, course: Course, role: Role) -> None:
    """Nobody gives or takes a role above their own. Raises Forbidden."""
    own = actor.role(course.id)
    if own is None or role.rank > own.rank:
        raise Forbidden(
            f"Only somebody with the role {role} can give or take it.", f"只有 {role} 才能授予或撤销 {role} 角色。"
        )


def keep_an_admin(session: Session, course: Course, enrolment: Enrolment) -> None:
    """Raises Conflict when nobody else who may sign in administers the course."""
    if enrolment.role is Role.ADMIN and not accounts.other_admins(session, course.id, enrolment.user_id):
        raise Conflict("The course would be left without an administrator.", "这样课程就没有管理员了。")


def _shown(enrolment: Enrolment, user: User) -> dict[str, object]:
    return {"name": user.name, "email": user.email, "section": enrolment.section, "role": str(enrolment.role)}


def people(session: Session, course_id: int) -> list[tuple[Enrolment, User]]:
    """Everybody in a course: staff first, then students by section and name."""
    rows = session.execute(select(Enrolment, User).join(User).where(Enrolment.course_id == course_id))
    return sorted(rows, key=lambda row: (-row[0].role.rank, row[0].section, row[1].name, row[1].login))


def new_link(session: Session, actor: Actor, course: Course, login: str, now: datetime) -> str:
    """A new sign-in link for a member, as when a password was forgotten. Raises NotFound, Forbidden."""
    enrolment = member(session, course.id, login)
    may_give(actor, course, enrolment.role)
    if not _controls(session, actor, enrolment.user):
        raise Forbidden(
            "This person is in other courses too; only somebody who is instructor of all of them can make a link.",
            "此人还在其他课程中；只有所有这些课程的教师才能创建链接。",
        )
    audit.note(session, actor, "link.make", enrolment.user.login, now, course_id=course.id, user_id=enrolment.user_id)
    return accounts.make_link(session, enrolment.user, now)


def new_links(session: Session, actor: Actor, course: Course, now: datetime) -> list[tuple[User, str]]:
    """New sign-in links for every member who may sign in and never has; those they had and did not use end."""
    made = []
    for _, user in people(session, course.id):
        if user.active and not accounts.has_signed_in(session, user):
            made.append((user, new_link(session, actor, course, user.login, now)))
    return made


def _controls(session: Session, actor: Actor, user: User) -> bool:
    """Whether the actor is instructor, and no less than the user, wherever the user is: a link opens everything."""
    for enrolment in session.scalars(select(Enrolment).where(Enrolment.user_id == user.id)):
        own = actor.role(enrolment.course_id)
        if own is None or own.rank < max(Role.INSTRUCTOR.rank, enrolment.role.rank):
            return False
    return True
