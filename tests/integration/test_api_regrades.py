"""Regrades and statistics over REST."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from grader.service.access import Scope

from .service import SUMS, Kit, program
from .test_api_submissions import read_events

PLACE = f"/api/v1/courses/dl/assignments/{SUMS}"
BODY = {"reason": "a check was mended"}


def change_verdicts(kit: Kit) -> None:
    """From now on the engine fails `add_works` of everybody, as a changed assignment would."""
    grade = kit.engine.grade
    kit.engine.grade = lambda assignment, file, data, **rest: grade(  # type: ignore[method-assign]
        assignment, file, program(fail=["add_works"], seconds=0.1), **rest
    )


def test_a_regrade_is_compared_and_published(kit: Kit) -> None:
    number = kit.hand_in("ada", program())
    kit.hand_in("bob", program(fail=["add_works"]))
    kit.grade()
    change_verdicts(kit)
    with kit.client("tina") as tina:
        begun = tina.post(f"{PLACE}/regrades", json=BODY)
        assert (begun.status_code, begun.json()["total"], begun.json()["state"]) == (202, 2, "running")
        place = begun.headers["location"]
        assert tina.post(f"{PLACE}/regrades", json=BODY).status_code == 409
        assert tina.post(f"{place}/publish").status_code == 409
        kit.grade()
        assert (tina.get(place).json()["state"], tina.get(place).json()["done"]) == ("ready", 2)
        assert tina.get(f"/api/v1/submissions/{number}").json()["score"] == 100
        changes = tina.get(f"{place}/changes").json()["items"]
        assert [(c["login"], c["before"], c["after"], c["changed"]) for c in changes] == [
            ("ada", 100, 60, True), ("bob", 60, 60, False),
        ]  # fmt: skip
        assert changes[0]["checks"] == [{"check": "add_works", "before": 40, "after": 0}]
        done = tina.post(f"{place}/publish").json()
        assert (done["grades_changed"], done["regrade"]["state"]) == (1, "published")
        assert tina.get(f"/api/v1/submissions/{number}").json()["score"] == 60
        assert tina.post(f"{place}/publish").status_code == 409
        assert tina.post(f"{place}/cancel").status_code == 409
        assert [row["state"] for row in tina.get(f"{PLACE}/regrades").json()["items"]] == ["published"]
        other = place.replace(SUMS, "numpy_autodiff")
        assert tina.get(other).status_code == 404


def test_a_regrade_is_cancelled(kit: Kit) -> None:
    kit.hand_in("ada", program())
    kit.grade()
    with kit.client("tina") as tina:
        place = tina.post(f"{PLACE}/regrades", json={**BODY, "every_attempt": True}).headers["location"]
        assert tina.post(f"{place}/cancel").json()["state"] == "cancelled"
        assert read_events(tina, f"{place}/events")[-1] == ("done", {})


def test_its_progress_is_told(kit: Kit) -> None:
    for login in ("ada", "bob", "chen"):
        kit.hand_in(login, program(salt=login))
    kit.grade()
    change_verdicts(kit)
    with kit.client("tina") as tina, ThreadPoolExecutor(1) as pool:
        place = tina.post(f"{PLACE}/regrades", json=BODY).headers["location"]
        reading = pool.submit(read_events, tina, f"{place}/events")
        time.sleep(0.3)
        with kit.working():
            found = reading.result(20)
    progress = [data["done"] for kind, data in found if kind == "progress"]
    assert progress[0] == 0
    assert progress == sorted(progress)
    assert found[-2:] == [("progress", {"done": 3, "total": 3, "state": "ready"}), ("done", {})]


def test_what_cannot_be_regraded(kit: Kit) -> None:
    with kit.client("tina") as tina:
        assert tina.post(f"{PLACE}/regrades", json=BODY).status_code == 409
        for body in ({}, {"reason": " "}, {"reason": "r", "every_attempt": "yes"}):
            assert tina.post(f"{PLACE}/regrades", json=body).status_code == 422
        assert tina.get(f"{PLACE}/regrades/1").status_code == 404
        assert tina.get(f"{PLACE}/regrades/{2**63}").status_code == 422
    with kit.client("tina", scopes=[Scope.READ_GRADES]) as reader:
        assert reader.post(f"{PLACE}/regrades", json=BODY).status_code == 403


def test_statistics_and_who_made_a_mistake(kit: Kit) -> None:
    for login in ("ada", "bob"):
        kit.hand_in(login, program(fail=["subtract_works"], mistake="swapped", salt=login))
    kit.hand_in("chen", program())
    kit.grade()
    with kit.client("tina") as tina:
        found = tina.get(f"{PLACE}/statistics").json()
        assert (found["students"], found["graded"], found["missing"], found["median"]) == (3, 3, 0, 70)
        assert found["mistakes"] == [
            {"mistake": "swapped", "part": "subtract", "hint": "The arguments are swapped.", "students": 2}
        ]
        assert sum(bin["count"] for bin in found["histogram"]) == 3
        assert found["checks"][0]["check"] == "subtract_works"
        assert found["attempts_to_full"] == {"1": 1}
        seen = tina.get(f"{PLACE}/mistakes/swapped?lang=zh").json()
        assert (seen["hint"], [row["login"] for row in seen["items"]]) == ("参数的顺序反了。", ["ada", "bob"])
        assert tina.get(f"{PLACE}/mistakes/unheard_of").status_code == 404
