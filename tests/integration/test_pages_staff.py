"""The staff's pages over a real service: what they show, what their forms do, and whom they refuse."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import select

from grader.store.models import AuditEvent, Extension, Grade, Published, Regrade, Submission, User
from grader.store.states import RegradeState

from .service import COURSE, NUMPY, SUMS, Kit, program

HERE = f"/courses/{COURSE}"
OF_ADA = f"{HERE}/assignments/{SUMS}/students/ada"
PAGES = [
    "/gradebook",
    "/gradebook.csv",
    "/students/ada",
    f"/assignments/{SUMS}/statistics",
    f"/assignments/{SUMS}/mistakes/swapped",
    "/regrades",
    "/roster",
    "/deadlines",
    "/audit",
]


def post(kit: Kit, login: str, address: str, **fields: str) -> httpx.Response:
    browser = kit.browser(login)
    return browser.post(address, data={"csrf": kit.csrf(browser), **fields})


def grade_of(kit: Kit, login: str) -> Grade:
    with kit.service.store.read() as session:
        published = session.scalars(select(Published).where(Published.name == SUMS)).first()
        assert published is not None
        return session.scalars(
            select(Grade).where(Grade.user_id == kit.ids[login], Grade.published_id == published.id)
        ).one()


def test_every_page_is_there_for_staff_and_for_nobody_else(kit: Kit) -> None:
    kit.hand_in("ada", program(fail=["subtract_works"], mistake="swapped"))
    kit.grade()
    for page in PAGES:
        assert kit.browser("tina").get(HERE + page).status_code == 200, page
        assert kit.browser("ada").get(HERE + page).status_code == 403, page
        assert kit.browser("olga").get(HERE + page).status_code == 404, page
        assert kit.browser().get(HERE + page).status_code == 303, page
    assert kit.browser("teacher").get("/system").status_code == 200
    assert kit.browser("tina").get("/system").status_code == 403


@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_hold_no_inline_script_and_no_style(kit: Kit, language: str) -> None:
    kit.hand_in("ada", program(fail=["*"], mistake="swapped"))
    kit.grade()
    browser = kit.browser("teacher")
    browser.cookies.set("lang", language)
    for address in [*(HERE + page for page in PAGES if not page.endswith(".csv")), "/system"]:
        text = browser.get(address).text
        assert f'lang="{"zh-Hans" if language == "zh" else "en"}"' in text
        assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=|javascript:", text), address
        ids = re.findall(r'\sid="([^"]+)"', text)
        assert len(ids) == len(set(ids)), address
        assert len(text.encode()) < 150_000


# Gradebook ---------------------------------------------------------------------------------------------------------


def test_the_gradebook_filters_sorts_and_exports_what_it_shows(kit: Kit) -> None:
    kit.hand_in("ada", program(fail=["subtract_works"]))
    kit.hand_in("bob", program())
    kit.grade()
    browser = kit.browser("tina")

    def logins(query: str, sort: str = "name") -> list[str]:
        text = browser.get(f"{HERE}/gradebook.csv", params={"q": query, "sort": sort}).text
        return [row["login"] for row in csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))]

    assert logins("") == ["ada", "bob", "chen"]
    assert logins("section:A", f"-{SUMS}") == ["bob", "ada"]
    assert logins(f"assignment:{SUMS} score<100") == ["ada"]
    assert logins(f"missing:{SUMS}") == ["chen"]
    assert logins("", SUMS) == ["ada", "bob", "chen"]
    assert logins("", f"-{SUMS}") == ["bob", "ada", "chen"]
    assert logins("陈") == ["chen"]
    assert logins("status:graded birk") == ["bob"]
    shown = browser.get(f"{HERE}/gradebook", params={"q": f"assignment:{SUMS} score<100"}).text
    assert "Ada Abel" in shown
    assert "Bob Birk" not in shown
    assert "1 of 3 students" in shown


def test_a_filter_that_is_not_understood_is_named_and_everybody_is_shown(kit: Kit) -> None:
    answer = kit.browser("tina").get(f"{HERE}/gradebook", params={"q": "colour:red"})
    assert answer.status_code == 422
    assert "colour:red" in answer.text
    assert "Ada Abel" in answer.text
    assert kit.browser("tina").get(f"{HERE}/gradebook", params={"sort": "height"}).status_code == 422


def test_names_are_escaped_in_the_page_and_harmless_in_the_file(kit: Kit) -> None:
    with kit.service.store.write() as session:
        session.get_one(User, kit.ids["ada"]).name = '=HYPERLINK("x")<script>alert(1)</script>'
    browser = kit.browser("tina")
    assert "<script>alert" not in browser.get(f"{HERE}/gradebook").text
    assert "\"'=HYPERLINK" in browser.get(f"{HERE}/gradebook.csv").text


# Changing a grade --------------------------------------------------------------------------------------------------


def test_a_score_is_set_and_taken_back_with_reasons_in_the_log(kit: Kit) -> None:
    kit.hand_in("ada", program(fail=["subtract_works"]))
    kit.grade()
    answer = post(kit, "tina", f"{OF_ADA}/override", score="92", reason="her kernel died", after=f"{HERE}/students/ada")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HERE}/students/ada")
    assert grade_of(kit, "ada").score == 92
    page = kit.browser("tina").get(f"{HERE}/students/ada").text
    assert "her kernel died" in page
    assert "set by staff" in page
    assert "her kernel died" in kit.browser("tina").get(f"{HERE}/audit").text
    assert post(kit, "tina", f"{OF_ADA}/override/remove", reason="a mix-up").status_code == 303
    assert grade_of(kit, "ada").score == 70


@pytest.mark.parametrize(
    ("score", "reason"), [("92", " "), ("abc", "why"), ("-1", "why"), ("1e9", "why"), ("nan", "why")]
)
def test_a_score_that_makes_no_sense_changes_nothing_and_is_shown_again(kit: Kit, score: str, reason: str) -> None:
    answer = post(kit, "tina", f"{OF_ADA}/override", score=score, reason=reason)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert f'value="{score}"' in answer.text
    assert not grade_of(kit, "ada").overridden


def test_nobody_is_sent_to_another_site(kit: Kit) -> None:
    answer = post(kit, "tina", f"{OF_ADA}/override", score="1", reason="x", after="https://example.org/")
    assert answer.headers["location"] == "/"


def test_an_extension_is_given_in_the_time_of_the_course(kit: Kit) -> None:
    due = datetime.now(UTC) + timedelta(days=30)
    typed = (due + timedelta(hours=8)).strftime("%Y-%m-%dT%H:%M")  # Asia/Shanghai
    answer = post(kit, "tina", f"{OF_ADA}/extension", due_at=typed, extra_attempts="2", reason="ill")
    assert answer.status_code == 303
    with kit.service.store.read() as session:
        extension = session.scalars(select(Extension)).one()
    assert extension.due_at == due.replace(second=0, microsecond=0)
    assert extension.extra_attempts == 2
    assert typed in kit.browser("tina").get(f"{HERE}/students/ada").text
    assert post(kit, "tina", f"{OF_ADA}/extension/remove", reason="well again").status_code == 303


def test_more_attempts_can_be_given_without_touching_the_deadline(kit: Kit) -> None:
    page = kit.browser("tina").get(f"{HERE}/students/ada").text
    shown = re.findall(r'name="due_at" type="datetime-local" value="([^"]+)"', page)[0]
    assert post(kit, "tina", f"{OF_ADA}/extension", due_at=shown, extra_attempts="1", reason="ill").status_code == 303
    with kit.service.store.read() as session:
        assert session.scalars(select(Extension)).one().due_at is None


@pytest.mark.parametrize("typed", [{"due_at": "soon"}, {"extra_attempts": "x"}, {"due_at": "2001-01-01T00:00"}, {}])
def test_an_extension_that_makes_no_sense_is_shown_again(kit: Kit, typed: dict[str, str]) -> None:
    answer = post(kit, "tina", f"{OF_ADA}/extension", reason="ill", **typed)
    assert answer.status_code == 422
    assert "ill" in answer.text


def test_students_change_nothing(kit: Kit) -> None:
    for address in (f"{OF_ADA}/override", f"{OF_ADA}/extension", f"{HERE}/regrades", f"{HERE}/roster"):
        assert post(kit, "ada", address, score="100", reason="please", extra_attempts="9").status_code == 403
    for address in (f"{HERE}/roster", f"{HERE}/deadlines", f"{HERE}/deadlines/{SUMS}"):
        assert post(kit, "tina", address, name=NUMPY, roster="login,name\nx,X").status_code == 403
    with kit.browser("tina") as browser:
        assert browser.post(f"{OF_ADA}/override", data={"score": "1", "reason": "no token"}).status_code == 403
    assert not grade_of(kit, "ada").overridden


# Statistics --------------------------------------------------------------------------------------------------------


def test_statistics_name_the_mistake_and_open_its_students(kit: Kit) -> None:
    kit.hand_in("ada", program(fail=["subtract_works"], mistake="swapped"))
    kit.hand_in("bob", program())
    kit.grade()
    text = kit.browser("tina").get(f"{HERE}/assignments/{SUMS}/statistics").text
    assert "Half of the class has 100 or more of 100 points" in text
    assert "The arguments are swapped." in text
    assert f'href="{HERE}/assignments/{SUMS}/mistakes/swapped"' in text
    opened = kit.browser("tina").get(f"{HERE}/assignments/{SUMS}/mistakes/swapped").text
    assert "Ada Abel" in opened
    assert "Bob Birk" not in opened
    assert kit.browser("tina").get(f"{HERE}/assignments/{SUMS}/mistakes/nonsense").status_code == 404


# Regrades ----------------------------------------------------------------------------------------------------------


def test_a_regrade_from_the_form_to_publishing(kit: Kit) -> None:
    kit.hand_in("ada", program(fail=["subtract_works"]))
    kit.grade()
    form = kit.browser("tina").get(f"{HERE}/regrades").text
    assert f'value="{SUMS}/counting"' in form
    assert "1 submission" in form
    refused = post(kit, "tina", f"{HERE}/regrades", what=f"{SUMS}/counting", reason="")
    assert (refused.status_code, "the log keeps it" in refused.text) == (422, True)
    begun = post(kit, "tina", f"{HERE}/regrades", what=f"{SUMS}/counting", reason="a check was wrong")
    page = begun.headers["location"]
    running = kit.browser("tina").get(page).text
    assert "0 of 1 done" in running
    assert f'data-events="{page}/events"' in running
    kit.grade()
    with kit.browser("tina").stream("GET", f"{page}/events") as stream:
        told = "".join(stream.iter_text())
    assert "event: progress" in told
    assert told.rstrip().endswith("event: done\ndata: {}")
    ready = kit.browser("tina").get(page).text
    assert "Nothing would change" in ready
    assert post(kit, "tina", f"{page}/publish").status_code == 303
    with kit.service.store.read() as session:
        assert session.scalars(select(Regrade)).one().state is RegradeState.PUBLISHED
    assert kit.browser("olga").get(page).status_code == 404


def test_a_regrade_that_is_none_is_said(kit: Kit) -> None:
    assert post(kit, "tina", f"{HERE}/regrades", what="nonsense", reason="x").status_code == 422
    assert post(kit, "tina", f"{HERE}/regrades", what=f"{SUMS}/every", reason="x").status_code == 422  # nothing to do
    assert kit.browser("tina").get(f"{HERE}/regrades/99").status_code == 404


# Roster, deadlines, log --------------------------------------------------------------------------------------------

ROSTER = "login,name,section\nada,Ada Abel,B\nnew.one,小明,A\n"


def test_a_roster_is_shown_first_and_then_applied_with_links(kit: Kit) -> None:
    shown = post(kit, "teacher", f"{HERE}/roster/preview", pasted=ROSTER)
    assert shown.status_code == 200
    assert "1 new, 1 changed, 0 as they are" in shown.text
    assert "now A" in shown.text
    sent = re.search(r'name="roster" value="([^"]*)"', shown.text)
    assert sent is not None
    applied = post(kit, "teacher", f"{HERE}/roster", roster=sent[1])
    assert applied.status_code == 200
    links = re.findall(r"http://127\.0\.0\.1:\d+/sign-in/link/[\w-]+", applied.text)
    assert len(links) == 1
    assert kit.browser().get(links[0].partition("127.0.0.1")[2].partition("/")[2].join(["/", ""])).status_code == 200


def test_a_roster_in_gbk_keeps_its_names_when_it_is_applied(kit: Kit) -> None:
    browser = kit.browser("teacher")
    file = ("roster.csv", "学号,姓名\r\nnew.two,王小明\r\n".encode("gbk"))
    shown = browser.post(f"{HERE}/roster/preview", data={"csrf": kit.csrf(browser)}, files={"file": file})
    assert "王小明" in shown.text
    sent = re.search(r'name="roster" value="([^"]*)"', shown.text)
    assert sent is not None
    assert post(kit, "teacher", f"{HERE}/roster", roster=sent[1]).status_code == 200
    with kit.service.store.read() as session:
        assert session.scalars(select(User.name).where(User.login == "new.two")).all() == ["王小明"]


def test_a_wrong_roster_names_its_lines_and_changes_nothing(kit: Kit) -> None:
    shown = post(kit, "teacher", f"{HERE}/roster/preview", pasted="login,name\nAda Abel,x\nada,Ada\nada,Ada\n")
    assert shown.status_code == 422
    assert "Line 2" in shown.text
    assert "Line 4" in shown.text
    with kit.service.store.read() as session:
        assert session.scalars(select(User.login).where(User.login == "x")).all() == []


def terms(**changes: str) -> dict[str, str]:
    return {
        "opens_at": "2026-01-01T08:00", "due_at": "2030-01-01T23:59", "late_days": "1", "late_percent": "12.5",
        "attempt_limit": "", "counting": "latest", "release": "never", **changes,
    }  # fmt: skip


def test_terms_are_changed_in_the_time_of_the_course(kit: Kit) -> None:
    answer = post(kit, "teacher", f"{HERE}/deadlines/{SUMS}", **terms())
    assert answer.status_code == 303
    with kit.service.store.read() as session:
        published = session.scalars(select(Published).where(Published.name == SUMS).order_by(Published.id)).first()
    assert published is not None
    assert published.due_at == datetime(2030, 1, 1, 15, 59, tzinfo=UTC)
    assert (published.late_percent, published.attempt_limit, published.counting) == (12.5, None, "latest")
    assert "Saved." in kit.browser("teacher").get(answer.headers["location"]).text


@pytest.mark.parametrize(
    "wrong",
    [
        {"due_at": "2020-01-01T00:00"}, {"opens_at": ""}, {"late_days": "x"}, {"late_percent": "many"},
        {"attempt_limit": "0"}, {"counting": "worst"}, {"due_at": "9999-99-99"},
    ],
)  # fmt: skip
def test_terms_that_make_no_sense_are_shown_again(kit: Kit, wrong: dict[str, str]) -> None:
    answer = post(kit, "teacher", f"{HERE}/deadlines/{SUMS}", **terms(**wrong))
    assert answer.status_code == 422
    assert "2030-01-01T23:59" in answer.text or "due_at" in wrong


def test_the_form_as_it_was_shown_changes_nothing(kit: Kit) -> None:
    page = kit.browser("teacher").get(f"{HERE}/deadlines").text
    start = page.index(f'action="{HERE}/deadlines/{SUMS}"')
    form = page[start : page.index("</form>", start)]
    fields = dict(re.findall(r'name="(\w+)" type="[\w-]+" value="([^"]*)"', form))
    chosen = dict(zip(("counting", "release"), re.findall(r'<option value="(\w+)" selected', form), strict=True))
    with kit.service.store.read() as session:
        before = len(session.scalars(select(AuditEvent)).all())
    assert post(kit, "teacher", f"{HERE}/deadlines/{SUMS}", **fields, **chosen).status_code == 303
    with kit.service.store.read() as session:
        assert len(session.scalars(select(AuditEvent)).all()) == before


def test_the_log_is_filtered_and_paged(kit: Kit) -> None:
    for number in range(60):
        post(kit, "tina", f"{OF_ADA}/override", score=str(number), reason=f"number {number};")
    browser = kit.browser("tina")
    first = browser.get(f"{HERE}/audit", params={"action": "override.set"}).text
    assert "number 59;" in first
    assert "number 9;" not in first
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = browser.get(older[1].replace("&amp;", "&")).text
    assert "number 9;" in second
    assert "number 10;" not in second
    assert "There is nothing to show." in browser.get(f"{HERE}/audit", params={"person": "nobody"}).text


# One submission ----------------------------------------------------------------------------------------------------


def test_staff_see_the_source_beside_the_report_and_may_set_the_grade(kit: Kit) -> None:
    number = kit.hand_in("ada", program(fail=["add_works"]))
    kit.grade()
    page = kit.browser("tina").get(f"/submissions/{number}").text
    assert "add: 1 check failed" in page
    assert f'action="{OF_ADA}/override"' in page
    assert 'class="line marked"' in page
    with kit.service.store.read() as session:
        assert session.get_one(Submission, number).user_id == kit.ids["ada"]
    assert "desk-source" not in kit.browser("ada").get(f"/submissions/{number}").text
