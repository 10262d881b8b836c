"""Grades over REST: filters, order, pages, files for spreadsheets, what students see, and what staff set."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from grader.service import roster
from grader.service.access import SHELL, Scope
from grader.store.models import Course, User
from grader.store.states import Release

from .service import HIDDEN_CHECK, NUMPY, SUMS, TENSORFLOW, Kit, make_kit, program

GRADES = "/api/v1/courses/dl/grades"
OF_ADA = f"/api/v1/courses/dl/assignments/{SUMS}/students/ada"


@pytest.fixture(scope="module")
def graded(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """ada 60, overridden to 90; bob 100; chen nothing; all of it for sums. Nothing here is changed by its tests."""
    kit = make_kit(tmp_path_factory.mktemp("graded"))
    kit.rules(release=Release.AT_ONCE)
    kit.hand_in("ada", program(fail=["add_works"]))
    kit.hand_in("bob", program())
    kit.grade()
    with kit.client("tina") as tina:
        answer = tina.put(f"{OF_ADA}/override", json={"score": 90, "reason": "=cmd() by hand"})
        assert answer.status_code == 200, answer.text
    yield kit
    kit.close()


def logins(client: httpx.Client, **filters: object) -> list[str]:
    answer = client.get(GRADES, params={"assignment": SUMS, **{k: str(v) for k, v in filters.items()}})
    assert answer.status_code == 200, answer.text
    return [row["login"] for row in answer.json()["items"]]


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, ["ada", "bob", "chen"]),
        ({"sort": "-score"}, ["bob", "ada", "chen"]),
        ({"sort": "-name"}, ["chen", "bob", "ada"]),
        ({"sort": "section"}, ["ada", "bob", "chen"]),
        ({"section": "B"}, ["chen"]),
        ({"student": "Ada"}, ["ada"]),
        ({"status": "missing"}, ["chen"]),
        ({"overridden": "true"}, ["ada"]),
        ({"overridden": "false"}, ["bob", "chen"]),
        ({"late": "true"}, []),
        ({"min_score": 90}, ["ada", "bob"]),
        ({"min_score": 90.5}, ["bob"]),
        ({"max_score": 90}, ["ada"]),
        ({"q": "陈"}, ["chen"]),
        ({"q": "%"}, []),
        ({"q": "_"}, []),
        ({"q": "' OR 1=1 --"}, []),
        ({"since": "2100-01-01T00:00:00Z"}, []),
        ({"until": "2100-01-01T00:00:00+08:00"}, ["ada", "bob", "chen"]),
    ],
)
def test_filters_and_order(graded: Kit, filters: dict[str, object], wanted: list[str]) -> None:
    with graded.client("tina") as tina:
        assert logins(tina, **filters) == wanted


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=501", "limit=1_0", "limit=ten", "sort=password", "sort=name;drop", "status=best", "late=yes",
        "min_score=nan", "min_score=1e999", "since=yesterday", "since=0", "since=2026-01-01", "q=%00", "cursor=!",
        "cursor=AAAA", "format=xml", f"q={'x' * 101}", "since=2026-13-01T00:00:00Z",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_422_and_named(graded: Kit, query: str) -> None:
    with graded.client("tina") as tina:
        answer = tina.get(f"{GRADES}?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert query.partition("=")[0] in answer.json()["errors"][0]["field"]


def test_pages_follow_each_other_without_gap_or_repetition(graded: Kit) -> None:
    with graded.client("tina") as tina:
        whole = [(r["login"], r["assignment"]) for r in tina.get(f"{GRADES}?limit=500").json()["items"]]
        assert len(whole) == 9
        for sort in ("name", "-name", "score", "-score", "updated", "-section"):
            met, address = [], f"{GRADES}?limit=2&sort={sort}"
            while address:
                page = tina.get(address)
                met += [(r["login"], r["assignment"]) for r in page.json()["items"]]
                address = page.links["next"]["url"] if "next" in page.links else ""
            assert sorted(met) == sorted(whole), sort


def test_a_cursor_is_for_its_own_order(graded: Kit) -> None:
    with graded.client("tina") as tina:
        cursor = tina.get(f"{GRADES}?limit=1&sort=name").json()["next"]
        assert tina.get(f"{GRADES}?limit=1&sort=score&cursor={cursor}").status_code == 422


def rows(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_csv_holds_everything_that_matches(graded: Kit) -> None:
    with graded.client("tina") as tina:
        found = rows(tina.get(f"{GRADES}?limit=1&assignment={SUMS}", headers={"Accept": "text/csv"}))
        assert [(r["login"], r["score"], r["overridden"]) for r in found] == [
            ("ada", "90", "yes"), ("bob", "100", "no"), ("chen", "", "no"),
        ]  # fmt: skip
        canvas = rows(tina.get(f"{GRADES}?format=canvas"))
        assert list(canvas[0])[-3:] == [NUMPY, TENSORFLOW, SUMS]
        assert [(r["SIS Login ID"], r[SUMS]) for r in canvas] == [("ada", "90"), ("bob", "100"), ("chen", "")]
        moodle = rows(tina.get(f"{GRADES}?format=moodle&assignment={SUMS}"))
        assert list(moodle[0]) == ["Username", "Full name", "Email address", SUMS]
        json_first = tina.get(GRADES, headers={"Accept": "application/json, text/csv;q=0.5"})
        assert json_first.headers["content-type"] == "application/json"
        assert tina.get(GRADES, headers={"Accept": "image/png"}).status_code == 406


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", " =1", "＝1"])
def test_names_cannot_be_formulas(kit: Kit, name: str) -> None:
    with kit.service.store.write() as session:
        session.get_one(User, kit.ids["ada"]).name = name
    with kit.client("tina") as tina:
        for shape in ("csv", "canvas", "moodle"):
            for row in csv.reader(io.StringIO(tina.get(f"{GRADES}?format={shape}").text)):
                for cell in row:
                    assert not cell.strip().startswith(("=", "+", "-", "@", "＝")), (shape, cell)


# What students see -------------------------------------------------------------------------------------------------


def test_students_see_their_own_only(graded: Kit) -> None:
    with graded.client("bob") as bob:
        assert {row["login"] for row in bob.get(GRADES).json()["items"]} == {"bob"}
        assert logins(bob, student="ada") == []
        assert bob.get("/api/v1/courses/dl/students/ada/grades").status_code == 404
        assert len(bob.get("/api/v1/courses/dl/students/BOB/grades").json()["items"]) == 3
        assert {row["login"] for row in rows(bob.get(f"{GRADES}?format=csv"))} == {"bob"}
        first = bob.get(f"{GRADES}?limit=2").json()
        second = bob.get(f"{GRADES}?limit=2&cursor={first['next']}").json()
        assert [len(first["items"]), len(second["items"]), second["next"]] == [2, 1, None]


def test_what_is_kept_back_shows_in_no_way(kit: Kit) -> None:
    """Neither as a score, nor by a filter that finds the row or not, nor by its place, nor in a file."""
    kit.hand_in("ada", program(fail=[HIDDEN_CHECK, "add_works"]))
    kit.grade()
    with kit.client("ada") as ada, kit.client("tina") as tina:
        assert [r["score"] for r in tina.get(f"{GRADES}?student=ada&assignment={SUMS}").json()["items"]] == [30]
        kit.hand_in("bob", program(fail=["add_works"]))
        kit.grade()
        with kit.client("bob") as bob:
            assert [r["score"] for r in tina.get(f"{GRADES}?student=bob&assignment={SUMS}").json()["items"]] == [60]
            for mine in (ada, bob):
                own = mine.get(f"{GRADES}?assignment={SUMS}").json()["items"][0]
                assert (own["score"], own["computed_score"]) == (30, 30)
                assert logins(mine, min_score=31) == []
                assert logins(mine, max_score=30) != []
                assert rows(mine.get(f"{GRADES}?format=csv&assignment={SUMS}"))[0]["score"] == "30"
                one = mine.get(f"/api/v1/courses/dl/students/{own['login']}/grades").json()["items"]
                assert [row["score"] for row in one] == [None, None, 30]
                assert mine.get(f"/api/v1/courses/dl/assignments/{SUMS}").json()["score"] == 30


def test_scopes(graded: Kit) -> None:
    expected = {
        "ada": {Scope.SUBMIT: 200, Scope.READ_GRADES: 200, Scope.WRITE_GRADES: 403, Scope.MANAGE: 403},
        "tina": {Scope.SUBMIT: 403, Scope.READ_GRADES: 200, Scope.WRITE_GRADES: 403, Scope.MANAGE: 403},
    }
    for login, scopes in expected.items():
        for scope, status in scopes.items():
            with graded.client(login, scopes=[scope]) as one:
                assert one.get(GRADES).status_code == status, (login, scope)
                assert one.get("/api/v1/courses/dl/students/ada/grades").status_code == status, (login, scope)


# What staff set ----------------------------------------------------------------------------------------------------


def test_an_override_counts_until_it_is_removed(kit: Kit) -> None:
    kit.hand_in("ada", program())
    kit.grade()
    with kit.client("tina") as tina:
        made = tina.put(f"{OF_ADA}/override", json={"score": 12.5, "reason": "copied"})
        assert (made.json()["score"], made.json()["computed_score"], made.json()["overridden"]) == (12.5, 100, True)
        removed = tina.delete(f"{OF_ADA}/override", params={"reason": "not copied"})
        assert (removed.json()["score"], removed.json()["overridden"]) == (100, False)
        assert tina.delete(f"{OF_ADA}/override", params={"reason": "again"}).status_code == 409
        log = tina.get("/api/v1/courses/dl/audit?action=override&limit=10").json()["items"]
    assert [(row["action"], row["reason"], row["actor"], row["user"]) for row in log] == [
        ("override.remove", "not copied", "tina", "ada"), ("override.set", "copied", "tina", "ada"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {}, {"score": 1}, {"reason": "r"}, {"score": "1", "reason": "r"}, {"score": -1, "reason": "r"},
        {"score": 201, "reason": "r"}, {"score": True, "reason": "r"}, {"score": None, "reason": "r"},
        {"score": 1, "reason": "  "}, {"score": 1, "reason": "\0"}, {"score": 1, "reason": "x" * 1001},
        {"score": 1, "reason": "r", "more": 1}, [], "text", 1,
    ],
)  # fmt: skip
def test_overrides_that_make_no_sense(graded: Kit, body: Any) -> None:
    with graded.client("tina") as tina:
        assert tina.put(f"{OF_ADA}/override", json=body).status_code == 422


def test_json_that_is_none(graded: Kit) -> None:
    kind = {"Content-Type": "application/json"}
    with graded.client("tina") as tina:
        for body in (
            b"{",
            b"\xff\xfe",
            b'{"score": NaN, "reason": "r"}',
            b"[" * 100_000,
            b'{"score": 1e999, "reason": "r"}',
        ):
            answer = tina.put(f"{OF_ADA}/override", content=body, headers=kind)
            assert answer.status_code in (400, 422), body[:20]
            assert answer.headers["content-type"] == "application/problem+json"
        form = tina.put(f"{OF_ADA}/override", content=b"{}", headers={"Content-Type": "text/plain"})
        assert form.status_code == 415


def test_an_extension_moves_the_deadline_of_one(kit: Kit) -> None:
    now = kit.service.now()
    kit.rules(opens_at=now - timedelta(days=9), due_at=now - timedelta(hours=30), late_days=3, late_percent=10)
    kit.hand_in("ada", program())
    kit.grade()
    grade = f"{GRADES}?student=ada&assignment={SUMS}"
    with kit.client("tina") as tina, kit.client("ada") as ada:
        assert [(r["score"], r["days_late"]) for r in tina.get(grade).json()["items"]] == [(80, 2)]
        body = {"due_at": (now + timedelta(days=1)).isoformat(), "reason": "was ill"}
        assert tina.put(f"{OF_ADA}/extension", json=body).json()["reason"] == "was ill"
        assert [(r["score"], r["days_late"]) for r in tina.get(grade).json()["items"]] == [(100, 0)]
        assert ada.get(f"/api/v1/courses/dl/assignments/{SUMS}").json()["extended"] is True
        assert tina.delete(f"{OF_ADA}/extension", params={"reason": "a mistake"}).status_code == 204
        assert [(r["score"], r["days_late"]) for r in tina.get(grade).json()["items"]] == [(80, 2)]
        assert tina.delete(f"{OF_ADA}/extension", params={"reason": "again"}).status_code == 409
        for wrong in ({"reason": "r"}, {"due_at": "2000-01-01T00:00:00Z", "reason": "r"}, {"due_at": 5, "reason": "r"}):
            assert tina.put(f"{OF_ADA}/extension", json=wrong).status_code == 422


def test_grades_are_set_for_students_only(kit: Kit) -> None:
    place = f"/api/v1/courses/dl/assignments/{SUMS}/students"
    with kit.client("tina") as tina:
        assert tina.put(f"{place}/tom/override", json={"score": 1, "reason": "r"}).status_code == 409
        assert tina.put(f"{place}/otto/override", json={"score": 1, "reason": "r"}).status_code == 404
    with kit.client("tina", scopes=[Scope.READ_GRADES]) as reader:
        assert reader.put(f"{place}/ada/override", json={"score": 1, "reason": "r"}).status_code == 403


def test_a_large_class_comes_in_one_file(kit: Kit) -> None:
    lines = "login,name\n" + "".join(f"s{n},Student {n}\n" for n in range(600))
    with kit.service.store.write() as session:
        course = session.query(Course).filter_by(name="dl").one()
        roster.apply(session, SHELL, course, lines.encode(), kit.service.now())
    with kit.client("tina") as tina:
        assert len(rows(tina.get(f"{GRADES}?format=csv&assignment={SUMS}"))) == 603
