"""Courses, assignments, rosters, the log and tokens over REST."""

from __future__ import annotations

import ast
import json
from datetime import timedelta

import pytest

from grader.intake import read_upload
from grader.service.access import Scope

from .service import NUMPY, PEOPLE, SUMS, TENSORFLOW, Kit

API = "/api/v1"
DL = f"{API}/courses/dl"
CSV = {"Content-Type": "text/csv"}


def test_whose_token_it_is(shared_kit: Kit) -> None:
    with shared_kit.client("chen", scopes=[Scope.SUBMIT]) as chen:
        assert chen.get(f"{API}/me").json() == {
            "login": "chen",
            "name": "陈晨",
            "scopes": ["submit"],
            "courses": [
                {"name": "dl", "title": "Deep Learning", "timezone": "Asia/Shanghai", "role": "student", "section": "B"}
            ],
        }
        assert [course["name"] for course in chen.get(f"{API}/courses").json()["items"]] == ["dl"]
        assert chen.get(DL).json()["role"] == "student"
        assert chen.get(f"{API}/courses/other").status_code == 404


def test_assignments_with_the_terms_of_the_caller(shared_kit: Kit) -> None:
    with shared_kit.client("ada") as ada:
        listed = ada.get(f"{DL}/assignments").json()["items"]
        assert [row["name"] for row in listed] == [NUMPY, TENSORFLOW, SUMS]
        assert (listed[1]["attempt_limit"], listed[1]["attempts_left"], listed[1]["open"]) == (3, 3, True)
        one = ada.get(f"{DL}/assignments/{SUMS}", headers={"Accept-Language": "zh-CN"}).json()
        assert (one["title"], one["max_score"], one["status"]) == ("和与差", 100, "missing")
        assert [(part["name"], part["points"]) for part in one["parts"]] == [("add", 40), ("subtract", 60)]
        assert one["statement"].startswith("# 和")
        assert ada.get(f"{DL}/assignments/{SUMS}?lang=en").json()["statement"].startswith("# Sums")
        assert ada.get(f"{DL}/assignments/{SUMS}?lang=fr").status_code == 422
        assert ada.get(f"{DL}/assignments/nothing").status_code == 404
        assert ada.get(f"{DL}/assignments/..%2fsums").status_code in (404, 422)


def test_what_is_not_open_yet_is_for_staff(kit: Kit) -> None:
    kit.rules(SUMS, opens_at=kit.service.now() + timedelta(days=1))
    with kit.client("ada") as ada, kit.client("tina") as tina:
        for end in ("", "/starter.py", "/starter.ipynb"):
            assert ada.get(f"{DL}/assignments/{SUMS}{end}").status_code == 404
            assert tina.get(f"{DL}/assignments/{SUMS}{end}").status_code == 200
        refused = ada.post(f"{DL}/assignments/{SUMS}/submissions", files={"file": ("a.py", b"x = 1")})
        assert refused.status_code == 404


@pytest.mark.parametrize("name", [NUMPY, TENSORFLOW, SUMS])
def test_the_starter_as_a_script_and_as_a_notebook(shared_kit: Kit, name: str) -> None:
    with shared_kit.client("ada") as ada:
        script = ada.get(f"{DL}/assignments/{name}/starter.py")
        notebook = ada.get(f"{DL}/assignments/{name}/starter.ipynb")
    assert f'filename="{name}.ipynb"' in notebook.headers["content-disposition"]
    cells = json.loads(notebook.content)["cells"]
    code = "\n\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(script.text))
    assert [line for line in code.splitlines() if line.strip()] == [
        line for line in script.text.splitlines() if line.strip()
    ]
    assert len({cell["id"] for cell in cells}) == len(cells)
    assignment = shared_kit.service.catalogue.get(name)
    read_upload("starter.ipynb", notebook.content, assignment.asks)


# How assignments are handed out ------------------------------------------------------------------------------------


def test_an_instructor_hands_out_and_changes(kit: Kit) -> None:
    place = f"{API}/courses/other/assignments"
    body = {"name": NUMPY, "opens_at": "2026-01-01T00:00:00+08:00", "due_at": "2090-01-01T00:00:00Z"}
    with kit.client("olga") as olga, kit.client("oscar") as oscar:
        assert oscar.post(place, json=body).status_code == 403
        made = olga.post(place, json=body)
        assert made.status_code == 201
        assert made.json()["opens_at"] == "2025-12-31T16:00:00Z"
        assert olga.post(place, json=body).status_code == 409
        assert olga.post(place, json={**body, "name": "nothing"}).status_code == 422
        rules = {"opens_at": "2026-01-01T00:00:00Z", "attempt_limit": 5, "counting": "latest", "release": "never"}
        changed = olga.put(f"{place}/{NUMPY}", json=rules).json()
        assert (changed["attempt_limit"], changed["counting"], changed["due_at"]) == (5, "latest", None)
        log = olga.get(f"{API}/courses/other/audit?action=assignment").json()["items"]
        assert [row["action"] for row in log[:2]] == ["assignment.change", "assignment.publish"]
    with kit.client("olga", scopes=[Scope.WRITE_GRADES]) as other:
        assert other.put(f"{place}/{NUMPY}", json=rules).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"opens_at": None}, {"opens_at": "today"}, {"opens_at": 0}, {"due_at": "2000-01-01T00:00:00Z"},
        {"late_days": 366}, {"late_days": 1.5}, {"late_percent": 101}, {"attempt_limit": 0}, {"counting": "worst"},
        {"release": 1}, {"surprise": 1},
    ],
)  # fmt: skip
def test_rules_that_make_no_sense(shared_kit: Kit, change: dict[str, object]) -> None:
    with shared_kit.client("teacher") as teacher:
        body = {"opens_at": "2026-01-01T00:00:00Z", **change}
        assert teacher.put(f"{DL}/assignments/{NUMPY}", json=body).status_code == 422


# Rosters -----------------------------------------------------------------------------------------------------------


def test_a_roster_is_looked_at_and_then_applied(kit: Kit) -> None:
    text = "学号,姓名,section\nada,Ada Abel,B\nnew1,=新 同学,B\n".encode()
    with kit.client("teacher") as teacher:
        shown = teacher.post(f"{DL}/roster?preview=true", content=text, headers=CSV).json()
        assert (shown["applied"], shown["new"], shown["changed"], shown["errors"], shown["links"]) == (
            False, 1, 1, [], [],
        )  # fmt: skip
        assert "new1" not in teacher.get(f"{DL}/roster").text
        done = teacher.post(f"{DL}/roster", files={"file": ("roster.csv", text, "text/csv")}).json()
        assert (done["applied"], [link["login"] for link in done["links"]]) == (True, ["new1"])
        link = done["links"][0]["url"]
        assert link.startswith(f"{kit.url}/sign-in/link/")
        members = {row["login"]: row for row in teacher.get(f"{DL}/roster").json()["items"]}
        assert (members["ada"]["section"], members["new1"]["role"]) == ("B", "student")
        assert len(teacher.get(f"{DL}/students/new1/grades").json()["items"]) == 3
    with kit.browser() as new:
        assert new.get(link).status_code == 200


def test_a_roster_with_errors_is_not_applied(kit: Kit) -> None:
    text = b"login,name,role\nfine,Fine Person,\n=bad,Name,\nfine,Twice,\nboss,The Boss,admin\n"
    with kit.client("teacher") as teacher:
        shown = teacher.post(f"{DL}/roster?preview=true", content=text, headers=CSV)
        assert [error["line"] for error in shown.json()["errors"]] == [3, 4, 5]
        refused = teacher.post(f"{DL}/roster", content=text, headers={**CSV, "Accept-Language": "zh"})
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == ["body.line 3", "body.line 4", "body.line 5"]
        assert "第 3 行" in refused.json()["errors"][0]["detail"]
        assert "fine" not in teacher.get(f"{DL}/roster").text
        large = teacher.post(f"{DL}/roster", content=b"x" * (3 << 20), headers=CSV)
        assert large.status_code == 413
        assert teacher.post(f"{DL}/roster", content=text, headers={"Content-Type": "text/html"}).status_code == 415


def test_a_new_link_for_a_member(kit: Kit) -> None:
    with kit.client("teacher") as teacher, kit.client("tina") as tina:
        made = teacher.post(f"{DL}/students/ada/link")
        assert made.status_code == 201
        assert made.json()["url"].startswith(f"{kit.url}/sign-in/link/")
        assert teacher.post(f"{DL}/students/root/link").status_code == 403
        assert teacher.post(f"{DL}/students/otto/link").status_code == 404
        assert tina.post(f"{DL}/students/ada/link").status_code == 403
        assert made.json()["url"].rpartition("/")[2] not in teacher.get(f"{DL}/audit").text


# The log -----------------------------------------------------------------------------------------------------------


def test_the_log_is_filtered_and_comes_in_pages(shared_kit: Kit) -> None:
    with shared_kit.client("tina") as tina:
        whole = [row["id"] for row in tina.get(f"{DL}/audit?limit=500").json()["items"]]
        assert whole == sorted(whole, reverse=True)
        met, address = [], f"{DL}/audit?limit=3"
        while address:
            page = tina.get(address)
            met += [row["id"] for row in page.json()["items"]]
            address = page.links["next"]["url"] if "next" in page.links else ""
        assert met == whole
        about = tina.get(f"{DL}/audit?person=ada&action=roster").json()["items"]
        assert [(row["action"], row["user"]) for row in about] == [("roster.add", "ada")]
        assert tina.get(f"{DL}/audit?action=%25").json()["items"] == []


# Tokens ------------------------------------------------------------------------------------------------------------


def test_tokens_are_made_listed_and_revoked(kit: Kit) -> None:
    with kit.client("ada") as ada:
        made = ada.post(f"{API}/tokens", json={"name": "laptop", "scopes": ["submit"], "days": 30})
        assert made.status_code == 201
        secret, number = made.json()["token"], made.json()["id"]
        listed = ada.get(f"{API}/tokens")
        assert secret not in listed.text
        assert number in [row["id"] for row in listed.json()["items"]]
        with kit.client(headers={"Authorization": f"Bearer {secret}"}) as laptop:
            assert laptop.get(f"{API}/me").json()["scopes"] == ["submit"]
            assert laptop.get(f"{API}/tokens").status_code == 403
            with kit.client("bob") as bob:
                assert bob.delete(f"{API}/tokens/{number}").status_code == 404
            assert ada.delete(f"{API}/tokens/{number}").status_code == 204
            assert laptop.get(f"{API}/me").status_code == 401
        assert ada.delete(f"{API}/tokens/{number}").status_code == 404


def test_a_token_makes_none_that_may_do_more(kit: Kit) -> None:
    with kit.client("ada", scopes=[Scope.MANAGE]) as ada:
        refused = ada.post(f"{API}/tokens", json={"name": "more", "scopes": ["manage", "grades:write"]})
        assert refused.status_code == 422
        for body in (
            {"name": " ", "scopes": ["manage"]},
            {"name": "x", "scopes": []},
            {"name": "x", "scopes": ["all"]},
        ):
            assert ada.post(f"{API}/tokens", json=body).status_code == 422


def test_tokens_end(kit: Kit) -> None:
    from grader.store.models import Token

    token = kit.token("ada", [Scope.SUBMIT], days=1)
    with kit.client(headers={"Authorization": f"Bearer {token}"}) as ada:
        assert ada.get(f"{API}/me").status_code == 200
        with kit.service.store.write() as session:
            newest = session.query(Token).order_by(Token.id.desc()).first()
            assert newest is not None
            newest.expires_at = kit.service.now() - timedelta(seconds=1)
        refused = ada.get(f"{API}/me")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="grader"')


@pytest.mark.parametrize("login", PEOPLE)
def test_nobody_is_told_of_courses_that_are_not_theirs(shared_kit: Kit, login: str) -> None:
    with shared_kit.client(login) as one:
        assert [row["name"] for row in one.get(f"{API}/courses").json()["items"]] == [PEOPLE[login][0]]
