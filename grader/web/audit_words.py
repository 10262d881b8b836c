"""Events of the audit log in words: what was done, and each value before and after."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from babel.dates import format_datetime

from grader.reports import Language, Text
from grader.service.audit import AuditRow
from grader.web.languages import LOCALES, points
from grader.web.management_views import AuditLine
from grader.web.views import Shell

ACTIONS: Final = {
    "override.set": Text(en="score set", zh="改动分数"),
    "override.remove": Text(en="set score removed", zh="取消改动的分数"),
    "extension.set": Text(en="extension given", zh="批准延期"),
    "extension.remove": Text(en="extension taken back", zh="撤销延期"),
    "assignment.publish": Text(en="assignment published", zh="发布作业"),
    "assignment.unpublish": Text(en="assignment taken back", zh="撤回作业"),
    "assignment.change": Text(en="terms changed", zh="修改作业条件"),
    "assignment.closed": Text(en="deadline passed", zh="作业截止"),
    "regrade.begin": Text(en="regrade started", zh="开始重新评分"),
    "regrade.publish": Text(en="regrade published", zh="发布重新评分"),
    "regrade.cancel": Text(en="regrade cancelled", zh="取消重新评分"),
    "grade.reassessed": Text(en="score changed by new terms", zh="作业规则的改动改变了分数"),
    "grade.regraded": Text(en="score changed by a regrade", zh="重新评分改变了分数"),
    "roster.add": Text(en="added to the course", zh="加入课程"),
    "roster.change": Text(en="membership changed", zh="修改成员信息"),
    "roster.remove": Text(en="taken out of the course", zh="移出课程"),
    "link.make": Text(en="sign-in link made", zh="生成登录链接"),
    "course.make": Text(en="course made", zh="创建课程"),
    "course.change": Text(en="course changed", zh="修改课程"),
}
_NAMES: Final = {
    "score": Text(en="score", zh="分数"),
    "overridden": Text(en="set by staff", zh="教师改动"),
    "due_at": Text(en="due", zh="截止时间"),
    "opens_at": Text(en="opens", zh="开放时间"),
    "extra_attempts": Text(en="more attempts", zh="增加次数"),
    "late_days": Text(en="late days", zh="可迟交天数"),
    "late_percent": Text(en="percent lost a day", zh="每天扣分百分比"),
    "attempt_limit": Text(en="most attempts", zh="提交次数上限"),
    "counting": Text(en="which attempt counts", zh="以哪次提交为准"),
    "release": Text(en="hidden checks shown", zh="何时显示隐藏检查"),
    "title": Text(en="title", zh="标题"),
    "timezone": Text(en="time zone", zh="时区"),
    "name": Text(en="name", zh="姓名"),
    "email": Text(en="email", zh="电子邮件"),
    "section": Text(en="section", zh="班级"),
    "role": Text(en="role", zh="角色"),
    "submissions": Text(en="submissions", zh="提交数"),
    "every_attempt": Text(en="every attempt", zh="每次提交"),
    "regrade": Text(en="regrade", zh="重新评分编号"),
    "grades_changed": Text(en="grades changed", zh="改变的成绩数"),
    "closed_at": Text(en="closed", zh="截止于"),
    "students": Text(en="students", zh="学生数"),
    "handed_in": Text(en="handed in", zh="已提交"),
    "missing": Text(en="handed nothing in", zh="未提交"),
    "waiting": Text(en="waiting for a grade", zh="等待评分"),
    "more_time": Text(en="have more time", zh="已获延期"),
}
_TIMES: Final = ("due_at", "opens_at", "closed_at")
_YES, _NO = Text(en="yes", zh="是"), Text(en="no", zh="否")
_WHEN: Final[dict[Language, str]] = {"en": "d MMM yyyy, HH:mm", "zh": "yyyy年M月d日 HH:mm"}


def line(row: AuditRow, shell: Shell) -> AuditLine:
    """An event in the language and time zone of a page. An action without words of its own shows its code."""
    action = ACTIONS.get(row.action)
    return AuditLine(
        id=row.id,
        at=row.at,
        actor=row.actor,
        user=row.user or "",
        action=row.action if action is None else action.say(shell.lang),
        subject=row.subject,
        reason=row.reason,
        via=row.via,
        changes=_changes(row.before or {}, row.after or {}, shell),
    )


def actions(lang: Language) -> tuple[tuple[str, str], ...]:
    """(code, words) of what the log can be narrowed to."""
    return tuple((code, text.say(lang)) for code, text in ACTIONS.items())


def _changes(before: dict[str, Any], after: dict[str, Any], shell: Shell) -> tuple[tuple[str, str, str], ...]:
    """What differs, as (name, before, after); of a new thing, what it has."""
    keys = dict.fromkeys([*before, *after])
    return tuple(
        (
            _NAMES[key].say(shell.lang) if key in _NAMES else key,
            _value(key, before.get(key), shell),
            _value(key, after.get(key), shell),
        )
        for key in keys
        if before.get(key) != after.get(key)
    )


def _value(key: str, value: Any, shell: Shell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return (_YES if value else _NO).say(shell.lang)
    if isinstance(value, int | float):
        return points(value, shell.lang)
    if key in _TIMES:
        moment = datetime.fromisoformat(str(value))
        return format_datetime(moment, _WHEN[shell.lang], tzinfo=shell.tz, locale=LOCALES[shell.lang])
    return str(value)
