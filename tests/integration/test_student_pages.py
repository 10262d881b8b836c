"""The pages that students use, over a whole service: arriving, handing in, reading, and what stays hidden."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import httpx

from .service import COURSE, HIDDEN_CHECK, PASSWORD, SUMS, Kit, program

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
