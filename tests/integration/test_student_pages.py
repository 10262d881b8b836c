"""The pages that students use, over a whole service: arriving, handing in, reading, and what stays hidden."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import httpx

from .service import COURSE, HIDDEN_CHECK, NUMPY, PASSWORD, SUMS, TENSORFLOW, Kit, program

SHEET = f"/courses/{COURSE}/assignments/{SUMS}"


def send(kit: Kit, client: httpx.Client, address: str, **fields: str) -> httpx.Response:
    return client.post(address, data={"csrf": kit.csrf(client), **fields})


def upload(kit: Kit, client: httpx.Client, data: bytes, name: str = "solution.py") -> httpx.Response:
    return client.post(SHEET, data={"csrf": kit.csrf(client)}, files={"file": (name, data)})


def test_signing_in_with_a_password_leads_to_where_one_wanted_to_go(kit: Kit) -> None:
    nobody = kit.browser()
    sent = nobody.get(SHEET)
    assert (sent.status_code, sent.headers["location"]) == (303, f"/sign-in?after={SHEET.replace('/', '%2F')}")
    assert nobody.get(sent.headers["location"]).status_code == 200
    wrong = send(kit, nobody, "/sign-in", login="ada", password="not this one", next=SHEET)
    assert wrong.status_code == 401
    assert f'value="{SHEET}"' in wrong.text
    right = send(kit, nobody, "/sign-in", login="ada", password=PASSWORD, next="//evil.example")
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert nobody.get("/").headers["location"] == f"/courses/{COURSE}"


def test_the_language_is_switched_and_kept(kit: Kit) -> None:
    ada = kit.browser("ada")
    assert send(kit, ada, "/language", lang="zh", next="/courses").headers["location"] == "/courses"
    assert '<html lang="zh-Hans">' in ada.get("/courses").text


def test_a_file_is_handed_in_and_its_report_read(kit: Kit) -> None:
    ada = kit.browser("ada")
    taken = upload(kit, ada, program(fail=["add_works"], printed="<b>hello</b>"))
    assert taken.status_code == 303
    waiting = ada.get(taken.headers["location"])
    assert "data-waiting" in waiting.text
    assert waiting.text.count('class="check waiting"') == 2
    kit.grade()
    page = ada.get(taken.headers["location"]).text
    assert "First thing to fix" in page
    assert "&lt;b&gt;hello&lt;/b&gt;" in page
    assert "<b>hello</b>" not in page
    assert len(page) < 150_000


def test_pasted_code_is_kept_when_it_is_refused(kit: Kit) -> None:
    ada = kit.browser("ada")
    kit.rules(attempt_limit=1)
    assert send(kit, ada, SHEET, pasted="x = 1").status_code == 303
    refused = send(kit, ada, SHEET, pasted="y = '<2>'")
    assert refused.status_code == 409
    assert "You have used all" in refused.text
    empty = send(kit, kit.browser("bob"), SHEET)
    assert empty.status_code == 422
    bad = send(kit, kit.browser("bob"), SHEET, pasted="z" * 10)
    assert bad.status_code == 303


def test_a_look_says_what_is_there_and_stores_nothing(kit: Kit) -> None:
    ada = kit.browser("ada")
    seen = send(kit, ada, f"{SHEET}/look", pasted="def add(a, b):\n    return a + b\n")
    assert seen.json()["kind"] == "note"
    assert seen.json()["lines"][0] == "Found: add."
    for nothing in ("def (", "x = 1", "def add(a, b):\n    pass\n\n\ndef subtract(a, b):\n    pass\n"):
        assert send(kit, ada, f"{SHEET}/look", pasted=nothing).json()["kind"] == "bad"
    assert "Your attempts" not in ada.get(SHEET).text


def test_what_a_hidden_check_found_is_nowhere_before_it_is_released(kit: Kit) -> None:
    ada = kit.browser("ada")
    good, bad = kit.hand_in("ada", program(salt="1")), kit.hand_in("ada", program(fail=[HIDDEN_CHECK], salt="2"))
    kit.grade()
    pages = [ada.get(address).text for address in (f"/submissions/{good}", f"/submissions/{bad}", SHEET)]
    assert all("70<" in page and ">100<" not in page and HIDDEN_CHECK not in page for page in pages)
    course = ada.get(f"/courses/{COURSE}").text
    assert "<b>70</b>" in course
    assert "<b>100</b>" not in course
    kit.rules(opens_at=kit.service.now() - timedelta(days=9), due_at=kit.service.now() - timedelta(minutes=1))
    assert HIDDEN_CHECK in ada.get(f"/submissions/{bad}").text


def test_an_assignment_that_is_not_open_yet_shows_nothing_of_itself(kit: Kit) -> None:
    kit.rules(opens_at=kit.service.now() + timedelta(days=1), due_at=None)
    ada = kit.browser("ada")
    for address in (SHEET, f"{SHEET}/starter.py", f"{SHEET}/starter.ipynb"):
        assert ada.get(address).status_code == 404
    assert send(kit, ada, SHEET, pasted="x = 1").status_code == 404
    assert kit.browser("tina").get(SHEET).status_code == 200


def test_changes_between_attempts_and_nothing_of_others(kit: Kit) -> None:
    first, second = kit.hand_in("ada", program(salt="1")), kit.hand_in("ada", program(salt="2"))
    other = kit.hand_in("bob", program(salt="3"))
    ada = kit.browser("ada")
    page = ada.get(f"/submissions/{second}/changes").text
    assert len(re.findall('<tr class="(added|removed)">', page)) == 2
    assert "first attempt" in ada.get(f"/submissions/{first}/changes").text
    assert "salt" not in ada.get(f"/submissions/{second}/changes?against={other}").text
    for address in (f"/submissions/{other}", f"/submissions/{other}/file", f"/submissions/{other}/changes"):
        assert ada.get(address).status_code == 404


def test_downloads_are_never_shown_as_pages(kit: Kit) -> None:
    number = kit.hand_in("ada", b"<script>alert(1)</script>", file='a"\u00fc.py')
    answer = kit.browser("ada").get(f"/submissions/{number}/file")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%22%C3%BC.py"
    notebook = json.loads(kit.browser("ada").get(f"{SHEET}/starter.ipynb").content)
    assert notebook["nbformat"] == 4


def test_a_token_is_shown_once_and_only_with_scopes_that_fit(kit: Kit) -> None:
    ada = kit.browser("ada")
    made = ada.post("/account/tokens", data={"csrf": kit.csrf(ada), "name": "x", "scopes": ["submit"], "days": "9"})
    assert re.search(r"<code>grader_[\w-]{40,}</code>", made.text)
    assert "grader_" not in ada.get("/account").text.replace("grader_session", "")
    refused = ada.post("/account/tokens", data={"csrf": kit.csrf(ada), "name": "x", "scopes": ["manage"], "days": "9"})
    assert refused.status_code == 422


def test_a_password_is_changed_with_the_old_one_only(kit: Kit) -> None:
    ada = kit.browser("ada")
    assert send(kit, ada, "/account/password", current="no", password="three green boats").status_code == 422
    assert send(kit, ada, "/account/password", current=PASSWORD, password="short").status_code == 422
    saved = send(kit, ada, "/account/password", current=PASSWORD, password="three green boats")
    assert saved.headers["location"] == "/account?saved=1"
    assert kit.browser().get("/account").status_code == 303


def test_the_next_deadline_is_in_the_zone_of_its_course_and_one_that_can_still_be_met(kit: Kit) -> None:
    due = datetime(2030, 5, 6, 15, 59, tzinfo=UTC)
    kit.rules(NUMPY, due_at=None)
    kit.rules(TENSORFLOW, due_at=due + timedelta(days=1))
    kit.rules(due_at=due, attempt_limit=1)
    ada = kit.browser("ada")
    assert "Sums and differences, " in ada.get("/courses").text
    assert "Mon 6 May 2030, 23:59 China Standard Time" in ada.get("/courses").text
    for address in (SHEET, f"/courses/{COURSE}"):
        assert "Mon 6 May 2030, 23:59 China Standard Time" in ada.get(address).text
    kit.hand_in("ada")
    assert "Tue 7 May 2030, 23:59 China Standard Time" in ada.get("/courses").text
    assert "Mon 6 May 2030" in kit.browser("bob").get("/courses").text
    bob = kit.browser("bob")
    bob.cookies.set("lang", "zh")
    assert "2030年5月6日 周一 23:59（中国标准时间）" in bob.get("/courses").text


def test_a_file_sent_after_the_session_ended_is_said_to_be_lost(kit: Kit) -> None:
    gone = kit.browser()
    refused = upload(kit, gone, program())
    assert refused.status_code == 401
    assert "your file was not handed in" in refused.text
    assert f'name="next" value="{SHEET}"' in refused.text
    again = send(kit, gone, "/sign-in", login="ada", password=PASSWORD, next=SHEET)
    assert again.headers["location"] == SHEET
    assert "Your attempts" not in gone.get(SHEET).text


def test_a_form_sent_after_the_session_ended_leads_back_to_its_page(kit: Kit) -> None:
    gone = kit.browser()
    for referer, after in (
        (f"{kit.url}/account?first=1", "/account?first=1"),
        ("http://evil.example/x", "/account/password"),
    ):
        refused = gone.post("/account/password", data={"password": "x"}, headers={"Referer": referer})
        assert refused.status_code == 401
        assert "was not saved" in refused.text
        assert f'name="next" value="{after}"' in refused.text


def test_what_costs_no_attempt_is_numbered_and_not_counted(kit: Kit) -> None:
    kit.rules(attempt_limit=3)
    kit.hand_in("ada", program(kind="not_gradable"))
    kit.grade()
    last = [kit.hand_in("ada", program(salt=str(at))) for at in range(3)][-1]
    kit.grade()
    page = kit.browser("ada").get(f"/submissions/{last}").text
    assert "<h1>Attempt 4</h1>" in page
    assert "3 of 3 attempts used" in page
    staff = kit.browser("tina").get(f"/submissions/{last}").text
    assert "<h1>Ada Abel, attempt 4</h1>" in staff
    assert "3 of 3 attempts used" in staff
    ada = kit.browser("ada")
    ada.cookies.set("lang", "zh")
    assert "已用 3 次提交机会，共 3 次" in ada.get(f"/submissions/{last}").text


def test_without_a_worker_no_time_is_promised(kit: Kit) -> None:
    kit.hand_in("bob", program())
    kit.grade()  # now the service knows how long a grading takes
    taken = kit.hand_in("ada", program(salt="1"))
    for login, says in (("ada", "will be graded as soon as it runs again"), ("tina", "The file is stored and waits")):
        page = kit.browser(login).get(f"/submissions/{taken}").text
        assert says in page
        assert ", about " not in re.sub(r'data-about="[^"]*"', "", page)
    with kit.browser("ada").stream("GET", f"/submissions/{taken}/events") as events:
        state = next(line for line in events.iter_lines() if line.startswith("data: "))
    assert json.loads(state.removeprefix("data: ")) == {"state": "queued", "before": 0, "seconds": None}


def test_a_long_history_is_folded_and_whole(kit: Kit) -> None:
    numbers = [kit.hand_in("ada", program(salt=str(at))) for at in range(12)]
    page = kit.browser("ada").get(SHEET).text
    assert "4 earlier attempts" in page
    assert all(f'href="/submissions/{number}"' in page for number in numbers)
    assert '<details class="earlier" open>' in kit.browser("ada").get(f"/submissions/{numbers[0]}").text
    assert '<details class="earlier">' in page


def test_an_upload_that_came_too_fast_is_refused_on_its_page(kit: Kit) -> None:
    kit.service.uploads_a_minute = 1
    ada = kit.browser("ada")
    assert send(kit, ada, SHEET, pasted="x = 1").status_code == 303
    refused = send(kit, ada, SHEET, pasted="x = 2")
    assert refused.status_code == 429
    assert refused.headers["retry-after"].isdigit()
    assert refused.text.count("uploads in a minute") == 1
    assert ">x = 2</textarea>" in refused.text


def test_the_points_of_the_parts_stand_on_the_sheet(kit: Kit) -> None:
    rows = re.findall(r'<th scope="row">([^<]*)</th><td class="num">(\d+)</td><td class="num">(\d+)</td>',
                      kit.browser("ada").get(SHEET).text)  # fmt: skip
    assert rows == [("add: the sum", "1", "40"), ("subtract: the difference", "1", "30"), ("Together", "2", "70")]
