"""Handing in over REST, waiting for the verdict, and reading it: who sees what, and what happens at the same time."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import func, select

from grader.service.access import Scope
from grader.store.models import Blob, Job, Submission
from grader.store.states import Release
from grader.web import streams

from .service import HIDDEN_CHECK, HIDDEN_POINTS, NUMPY, SUMS, TENSORFLOW, Kit, make_kit, program

API = "/api/v1"


def where(assignment: str = SUMS) -> str:
    return f"{API}/courses/dl/assignments/{assignment}/submissions"


def post(client: httpx.Client, data: bytes = b"", *, assignment: str = SUMS, name: str = "a.py", **headers: str) -> Any:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return client.post(where(assignment), files={"file": (name, data or program())}, headers=sent)


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found: dict[str, Any] = answer.json()
    assert found["status"] == answer.status_code
    assert found["type"].startswith("urn:grader:problem:")
    assert found["detail"]
    assert found["instance"] == f"urn:grader:request:{answer.headers['x-request-id']}"
    return found


def counted(kit: Kit, table: type[Submission] | type[Job] | type[Blob]) -> int:
    with kit.service.store.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


# Handing in --------------------------------------------------------------------------------------------------------


def test_a_file_is_accepted_graded_and_reported(kit: Kit) -> None:
    with kit.client("ada") as ada:
        accepted = post(ada, program(fail=["subtract_works"]))
        assert accepted.status_code == 202
        body = accepted.json()
        assert (body["state"], body["number"], body["report"], body["file"]) == ("queued", 1, None, "a.py")
        assert body["place"] == {"before": 0, "seconds": None}
        address = accepted.headers["location"]
        assert address == f"{API}/submissions/{body['id']}"
        assert ada.get(address).json()["state"] == "queued"
        waiting = ada.get(f"{address}/report")
        assert (waiting.status_code, waiting.json()["state"]) == (202, "queued")
        kit.grade()
        assert ada.get(address).json()["state"] == "graded"
        report = ada.get(f"{address}/report", params={"lang": "zh"})
        assert report.status_code == 200
        assert report.json()["checks"][1]["message"] == "有偏差。"
        assert ada.get(f"{address}/file").content == program(fail=["subtract_works"])


def test_prefer_wait_gives_the_finished_report(kit: Kit) -> None:
    with kit.working(), kit.client("ada") as ada:
        answer = post(ada, program(seconds=0.2), Prefer="respond-async, wait=20")
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "wait=20"
    assert answer.json()["state"] == "graded"
    assert answer.json()["report"]["status"] == "graded"


def test_a_wait_that_is_too_short_ends_with_202(kit: Kit) -> None:
    with kit.client("ada") as ada:
        began = time.monotonic()
        answer = post(ada, Prefer="wait=1")
        assert 0.9 < time.monotonic() - began < 5
    assert (answer.status_code, answer.json()["report"]) == (202, None)


def test_a_grading_by_another_process_is_seen_too(kit: Kit) -> None:
    """No event comes over the bus then: the wait looks into the database."""
    other = make_kit_over(kit)
    with ThreadPoolExecutor(1) as pool, kit.client("ada") as ada:
        answer = pool.submit(post, ada, program(), Prefer="wait=20")
        while not other.one():
            time.sleep(0.02)
        assert answer.result().status_code == 201


def make_kit_over(kit: Kit) -> Any:
    """A worker with a bus of its own, over the same database."""
    from dataclasses import replace

    from grader.events import Bus

    return replace(
        kit.worker,
        bus=Bus(),
        _threads=[],
        _running={},
        _progress={},
        _stopping=threading.Event(),
        _left=threading.Event(),
    )


def test_waiting_holds_no_thread(kit: Kit) -> None:
    """More requests wait than there are threads (40), and another one is answered at once."""
    with ThreadPoolExecutor(60) as pool, kit.client("ada", timeout=60) as ada:
        waits = [pool.submit(post, ada, program(salt=str(n)), Prefer="wait=9") for n in range(60)]
        time.sleep(2)
        began = time.monotonic()
        with kit.client("tina") as tina:
            assert tina.get(f"{API}/me").status_code == 200
        assert time.monotonic() - began < 5
        assert {wait.result().status_code for wait in waits} == {202}


def test_identical_content_is_answered_at_once(kit: Kit) -> None:
    with kit.client("ada") as ada, kit.client("bob") as bob:
        post(ada)
        kit.grade()
        again = post(bob)
        assert (again.status_code, again.json()["state"]) == (201, "graded")
    assert kit.engine.graded == 1


@pytest.mark.parametrize(
    ("name", "data", "status", "word"),
    [
        ("a.txt", b"x = 1", 422, "not a .py"),
        ("a.py", b"", 422, "empty"),
        ("a.py", b"x" * ((5 << 20) + 1), 413, "larger than 5 MiB"),
        ("", b"x = 1", 422, ""),
    ],
)
def test_what_is_not_taken(shared_kit: Kit, name: str, data: bytes, status: int, word: str) -> None:
    with shared_kit.client("ada") as ada:
        answer = ada.post(where(), files={"file": (name, data)})
    assert answer.status_code == status
    assert word in problem(answer)["detail"]


def test_bodies_of_other_kinds_are_415(shared_kit: Kit) -> None:
    with shared_kit.client("ada") as ada:
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = ada.post(where(), content=b"{}", headers={"Content-Type": kind})
            assert (answer.status_code, problem(answer)["type"]) == (415, "urn:grader:problem:unsupported-media-type")
        assert ada.post(where()).status_code == 415
        broken = ada.post(where(), content=b"xx", headers={"Content-Type": "multipart/form-data"})
        assert broken.status_code in (400, 422)
        problem(broken)


def test_a_large_body_without_a_length_is_413(shared_kit: Kit) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
        for _ in range(400):
            sent += 1 << 16
            yield b"0" * (1 << 16)

    with shared_kit.client("ada") as ada:
        try:
            answer = ada.post(where(), content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"})
        except httpx.TransportError:  # the server closed while we were still sending
            assert sent < 400 << 16
            return
    assert answer.status_code == 413
    problem(answer)


def test_a_length_that_is_too_large_is_413_before_the_body(shared_kit: Kit) -> None:
    address = urlsplit(shared_kit.url)
    head = f"POST {where()} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {5 << 30}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as line:
        line.sendall(f"{head}Authorization: Bearer {shared_kit.tokens['ada']}\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_many_parts_are_refused(shared_kit: Kit) -> None:
    with shared_kit.client("ada") as ada:
        answer = ada.post(where(), files=[("file", (f"{n}.py", b"x")) for n in range(2000)])
    assert answer.status_code == 422
    problem(answer)


@pytest.mark.usefixtures("database")
def test_too_many_uploads_are_429_with_retry_after(tmp_path: Path) -> None:
    kit = make_kit(tmp_path, uploads_a_minute=2)
    try:
        with kit.client("ada") as ada, kit.client("bob") as bob:
            assert [post(ada, program(salt=str(n))).status_code for n in range(3)] == [202, 202, 429]
            refused = post(ada)
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            problem(refused)
            assert post(bob).status_code == 202
    finally:
        kit.close()


@pytest.mark.usefixtures("database")
def test_too_many_requests_are_429_with_retry_after(tmp_path: Path) -> None:
    kit = make_kit(tmp_path, requests_a_minute=5)
    try:
        with kit.client("ada") as ada, kit.client("bob") as bob:
            answers = [ada.get(f"{API}/me") for _ in range(8)]
            assert [a.status_code for a in answers] == [200] * 5 + [429] * 3
            assert int(answers[-1].headers["retry-after"]) >= 1
            assert bob.get(f"{API}/me").status_code == 200
            assert ada.get("/health/live").status_code == 200
    finally:
        kit.close()


# At the same time --------------------------------------------------------------------------------------------------


def test_a_key_hands_in_once_however_often_it_is_sent_at_once(kit: Kit) -> None:
    with ThreadPoolExecutor(12) as pool, kit.client("ada") as ada:
        answers = list(pool.map(lambda _: post(ada, Idempotency_Key="k-1"), range(24)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert (counted(kit, Submission), counted(kit, Job)) == (1, 1)
        kit.grade()
        replay = post(ada, Idempotency_Key="k-1")
        assert (replay.status_code, replay.json()["state"]) == (200, "graded")
        other = post(ada, program(salt="another file"), Idempotency_Key="k-1")
        assert other.status_code == 409
        elsewhere = post(ada, assignment=NUMPY, Idempotency_Key="k-1")
        assert elsewhere.status_code == 409
        problem(elsewhere)
    with kit.client("bob") as bob:
        assert post(bob, Idempotency_Key="k-1").status_code == 201  # keys of different people do not meet


@pytest.mark.parametrize("key", ["", "with space", "x" * 101, "tab\there"])
def test_keys_that_are_none(shared_kit: Kit, key: str) -> None:
    with shared_kit.client("ada") as ada:
        assert post(ada, Idempotency_Key=key).status_code == 422


def test_the_attempt_limit_is_exact_under_parallel_posts(kit: Kit) -> None:
    with ThreadPoolExecutor(12) as pool, kit.client("chen") as chen:
        sent = [pool.submit(post, chen, program(salt=str(n)), assignment=TENSORFLOW) for n in range(20)]
        statuses = sorted(answer.result().status_code for answer in sent)
    assert statuses == [202] * 3 + [409] * 17
    assert counted(kit, Submission) == 3


def test_a_file_that_cannot_be_graded_costs_no_attempt(kit: Kit) -> None:
    with kit.client("chen") as chen:
        for n in range(5):
            assert post(chen, program(kind="not_gradable", salt=str(n)), assignment=TENSORFLOW).status_code == 202
            kit.grade()
        terms = chen.get(f"{API}/courses/dl/assignments/{TENSORFLOW}").json()
    assert (terms["attempts_used"], terms["attempts_left"]) == (0, 3)


def test_the_deadline_is_exact_under_parallel_posts(kit: Kit) -> None:
    """What arrived before the moment counts, what arrived after does not, however they were handled."""
    closes = datetime.now(UTC) + timedelta(seconds=1)
    kit.rules(due_at=closes, late_days=0)
    with ThreadPoolExecutor(8) as pool, kit.client("ada") as ada:

        def one(n: int) -> httpx.Response:
            time.sleep(max(0.0, (closes - datetime.now(UTC)).total_seconds() - 0.3 + n * 0.015))
            answer: httpx.Response = post(ada, program(salt=str(n)))
            return answer

        answers = list(pool.map(one, range(40)))
    taken = [answer for answer in answers if answer.status_code == 202]
    refused = [answer for answer in answers if answer.status_code == 409]
    assert len(taken) + len(refused) == 40
    assert taken
    assert refused
    assert all(datetime.fromisoformat(answer.json()["received_at"]) <= closes for answer in taken)
    assert "deadline" in problem(refused[0])["detail"]


# Who sees what -----------------------------------------------------------------------------------------------------


def test_students_find_their_own_only(kit: Kit) -> None:
    number = kit.hand_in("ada")
    kit.grade()
    addresses = [f"{API}/submissions/{number}{end}" for end in ("", "/report", "/file", "/events")]
    for login in ("bob", "oscar", "otto"):
        with kit.client(login) as other:
            assert [other.get(address).status_code for address in addresses] == [404] * 4
            assert other.get(f"{API}/submissions/{number}/reports").status_code == 404
            assert other.post(f"{API}/submissions/{number}/regrade").status_code == 404
    for login in ("ada", "tina", "tom", "teacher", "root"):
        with kit.client(login) as one:
            assert [one.get(address).status_code for address in addresses] == [200] * 4
    with kit.client("ada") as ada:
        assert ada.get(f"{API}/submissions/{number}/reports").status_code == 403
        assert ada.post(f"{API}/submissions/{number}/regrade").status_code == 403
        assert ada.get(f"{API}/submissions/{number + 1}").status_code == 404


def test_hidden_checks_are_kept_back_until_released(kit: Kit) -> None:
    number = kit.hand_in("ada", program(fail=[HIDDEN_CHECK]))
    other = kit.hand_in("bob", program(fail=["add_works"]))
    kit.grade()

    def seen(login: str, which: int) -> tuple[float, float, bool]:
        with kit.client(login) as one:
            report = one.get(f"{API}/submissions/{which}/report").json()
            listed = one.get(f"{API}/submissions/{which}").json()["score"]
            stream = one.get(f"{API}/submissions/{which}/events").text
            in_stream = HIDDEN_CHECK in stream
            assert in_stream == (HIDDEN_CHECK in json.dumps(report["checks"]))
            return report["score"], listed, in_stream

    assert seen("ada", number) == (70, 70, False)
    assert seen("bob", other) == (30, 30, False)
    assert seen("tina", number) == (70, 70, True)
    assert seen("tina", other) == (60, 60, True)
    kit.rules(release=Release.AT_ONCE)
    assert seen("bob", other) == (30 + HIDDEN_POINTS, 30 + HIDDEN_POINTS, True)


def test_the_answer_to_an_upload_keeps_hidden_checks_back(kit: Kit) -> None:
    with kit.working(), kit.client("ada") as ada:
        answer = post(ada, program(fail=[HIDDEN_CHECK]), Prefer="wait=20")
    assert HIDDEN_CHECK not in answer.text
    assert answer.json()["score"] == answer.json()["report"]["max_score"] == 70


def test_scopes(kit: Kit) -> None:
    number = kit.hand_in("ada")
    kit.grade()
    wanted = {
        Scope.SUBMIT: (201, 200, 200),
        Scope.READ_GRADES: (403, 200, 200),
        Scope.WRITE_GRADES: (403, 403, 403),
        Scope.MANAGE: (403, 403, 403),
        Scope.METRICS: (403, 403, 403),
    }
    for scope, statuses in wanted.items():
        with kit.client("ada", scopes=[scope]) as ada:
            found = (
                post(ada, b"x = 1\n").status_code,
                ada.get(f"{API}/submissions/{number}").status_code,
                ada.get(f"{API}/courses/dl/submissions").status_code,
            )
        assert found == statuses, scope
    with kit.client("tina", scopes=[Scope.SUBMIT]) as tina:
        assert tina.get(f"{API}/submissions/{number}").status_code == 403
        assert tina.get(f"{API}/courses/dl/submissions").status_code == 403


def test_lists_are_filtered_and_come_in_pages(kit: Kit) -> None:
    numbers = [kit.hand_in("ada", program(salt=str(n)), SUMS if n % 2 else NUMPY) for n in range(5)]
    numbers += [kit.hand_in("bob", program(kind="not_gradable"))]
    kit.grade()
    with kit.client("tina") as tina, kit.client("ada") as ada:

        def ids(client: httpx.Client, **filters: object) -> list[int]:
            answer = client.get(f"{API}/courses/dl/submissions", params={k: str(v) for k, v in filters.items()})
            assert answer.status_code == 200, answer.text
            return [row["id"] for row in answer.json()["items"]]

        assert ids(tina) == numbers[::-1]
        assert ids(ada) == numbers[4::-1]
        assert ids(ada, student="bob") == []
        assert ids(tina, student="BOB") == [numbers[5]]
        assert ids(tina, assignment=NUMPY) == [numbers[4], numbers[2], numbers[0]]
        assert ids(tina, state="not_gradable") == [numbers[5]]
        third = tina.get(f"{API}/submissions/{numbers[2]}").json()["received_at"]
        assert ids(tina, since=third) == numbers[:1:-1]
        assert ids(tina, until=third) == numbers[2::-1]
        address, met = f"{API}/courses/dl/submissions?limit=2&assignment=&state=graded", []
        while address:
            page = tina.get(address)
            met += [row["id"] for row in page.json()["items"]]
            link = page.links.get("next")
            assert (link is None) == (page.json()["next"] is None)
            address = link["url"] if link else ""
        assert met == numbers[4::-1]
        assert tina.get(f"{API}/courses/dl/submissions", params={"cursor": "bm9uc2Vuc2U"}).status_code == 422


def test_staff_grade_one_again(kit: Kit) -> None:
    number = kit.hand_in("ada")
    kit.grade()
    with kit.client("tina") as tina:
        assert tina.post(f"{API}/submissions/{number}/regrade").status_code == 202
        assert tina.post(f"{API}/submissions/{number}/regrade").status_code == 409
        kit.grade()
        stored = tina.get(f"{API}/submissions/{number}/reports").json()["items"]
    assert [row["current"] for row in stored] == [False, True]
    with kit.client("tina", scopes=[Scope.READ_GRADES]) as reader:
        assert reader.post(f"{API}/submissions/{number}/regrade").status_code == 403


def test_a_file_name_cannot_make_headers(kit: Kit) -> None:
    number = kit.hand_in("ada", file='作业"\r\nX-Evil: 1;.py')
    with kit.client("ada") as ada:
        answer = ada.get(f"{API}/submissions/{number}/file")
    assert "x-evil" not in answer.headers
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith('attachment; filename="')
    assert "filename*=UTF-8''%E4%BD%9C%E4%B8%9A" in answer.headers["content-disposition"]


# Events ------------------------------------------------------------------------------------------------------------


def read_events(client: httpx.Client, address: str) -> list[tuple[str, Any]]:
    with client.stream("GET", address, timeout=30) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return parsed("".join(answer.iter_text()))


def parsed(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.split("\n\n") if block.startswith("event:")]
    return [(kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for kind, data in blocks]


def test_a_stream_tells_states_checks_and_the_end(kit: Kit) -> None:
    with ThreadPoolExecutor(1) as pool, kit.client("tina") as tina:
        number = kit.hand_in("ada", program(seconds=0.6, fail=["subtract_works"]))
        reading = pool.submit(read_events, tina, f"{API}/submissions/{number}/events")
        while not kit.service.bus._listeners:
            time.sleep(0.01)
        with kit.working():
            found = reading.result(20)
    states = [data["state"] for kind, data in found if kind == "state"]
    assert states == ["queued", "grading", "graded"]
    checks = [(data["id"], data["status"]) for kind, data in found if kind == "check"]
    assert checks == [("add_works", "passed"), ("subtract_works", "failed"), (HIDDEN_CHECK, "passed")]
    assert found[-1] == ("done", {})
    assert found[0] == ("state", {"state": "queued", "before": 0, "seconds": None})


def test_who_comes_late_gets_what_is_known(kit: Kit) -> None:
    number = kit.hand_in("ada", program())
    kit.grade()
    with kit.client("ada") as ada:
        found = read_events(ada, f"{API}/submissions/{number}/events")
    assert [kind for kind, _ in found] == ["state", "check", "check", "done"]


def test_a_stream_sends_signs_of_life(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_HEARTBEAT_S", 0.1)
    monkeypatch.setattr(streams, "_LOOK_S", 0.1)
    number = kit.hand_in("ada")
    with kit.client("ada") as ada, ada.stream("GET", f"{API}/submissions/{number}/events") as answer:
        texts = answer.iter_text()
        assert "queued" in next(texts)
        assert next(texts).startswith(":")


def test_streams_of_one_person_are_bounded(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_MOST_STREAMS", 2)
    monkeypatch.setattr(streams, "_LOOK_S", 0.1)
    address = f"{API}/submissions/{kit.hand_in('ada')}/events"
    with kit.client("ada") as ada:
        with ada.stream("GET", address) as one, ada.stream("GET", address) as two:
            assert (one.status_code, two.status_code) == (200, 200)
            texts = [one.iter_text(), two.iter_text()]
            assert ["queued" in next(text) for text in texts] == [True, True]
            with ada.stream("GET", address) as third:
                assert third.status_code == 429
        deadline = time.monotonic() + 5
        while kit.app.state.open_streams and time.monotonic() < deadline:
            time.sleep(0.05)
        with ada.stream("GET", address) as again:
            assert again.status_code == 200
