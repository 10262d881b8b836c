"""The frame of a page: language, course, who looks, what staff are warned of."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

from starlette.requests import Request

from grader.reports import Text
from grader.sandbox.limits import Mode
from grader.service.access import Actor
from grader.store.models import Course
from grader.web import languages
from grader.web.hosting import Service
from grader.web.security import form_token
from grader.web.views import Banner, CourseName, Shell

LANGUAGE_COOKIE = "lang"


def plain_shell(request: Request, actor: Actor | None = None, *, section: str = "") -> Shell:
    """Of a page that belongs to no course."""
    service: Service = request.app.state.service
    return Shell(
        lang=languages.choose(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language")),
        path=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        csrf=form_token(request, service.secret),
        now=service.now(),
        tz=UTC,
        user=None if actor is None else actor.name,
        staff=actor is not None and any(actor.is_staff(course) for course in actor.courses),
        section=section,
        banner=None if actor is None or not any(actor.is_staff(c) for c in actor.courses) else _banner(service),
    )


def course_shell(request: Request, actor: Actor, course: Course, *, section: str = "") -> Shell:
    """Of a page of a course, in its time zone."""
    service: Service = request.app.state.service
    plain = plain_shell(request, actor, section=section)
    staff = actor.is_staff(course.id)
    return Shell(
        lang=plain.lang, path=plain.path, csrf=plain.csrf, now=plain.now, tz=ZoneInfo(course.timezone),
        user=plain.user, course=CourseName(name=course.name, title=course.title), staff=staff, section=section,
        banner=_banner(service) if staff else None,
    )  # fmt: skip


def _banner(service: Service) -> Banner | None:
    """What staff must know: a weak sandbox, or nobody who grades."""
    posture = service.posture()
    if posture.mode is Mode.C:
        return Banner(
            text=Text(
                en="The sandbox runs in mode C: students' code is not kept apart by namespaces. For mode A, run:",
                zh="沙箱处于 C 模式：学生的代码没有用命名空间隔离。要启用 A 模式，请运行：",
            ),
            command=service.advice,
        )
    if posture.workers == 0 and posture.held:
        return Banner(
            text=Text(
                en="Uploads are kept and wait: the self-test of the sandbox fails. The system page says why; see also:",
                zh="沙箱没有通过自检，提交会被保存并等待。原因见系统页面，也可以运行：",
            ),
            command="grader doctor",
        )
    if posture.workers == 0:
        return Banner(
            text=Text(
                en="No worker is running: uploads are kept and wait. Start one:",
                zh="没有评分进程在运行：提交会被保存并等待。请启动：",
            ),
            command="grader worker",
        )
    return None
