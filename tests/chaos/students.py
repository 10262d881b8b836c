"""Students who hand in, and the probe. Each repeats a request that got no answer with the same Idempotency-Key."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass

import httpx

from .scene import ASSIGNMENT, COURSE, STORIES, Account, Scene, stories, variant

PATH = f"/api/v1/courses/{COURSE}/assignments/{ASSIGNMENT}/submissions"
_ANSWER_S = 15.0
_PATIENCE_S = 180.0
_CROWD = 8  # submissions that wait; more students wait themselves


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a student was told is accepted. at: the moment of the answer; tries: requests it took."""

    student: str
    key: str
    submission: int
    story: str
    data: bytes
    at: float
    tries: int


class Refused(Exception):
    """An answer that the service must not give to what we send."""


class Students:
    """Hand in at random moments, `rate` a second all together, until `stop`."""

    def __init__(self, scene: Scene, rate: float, seed: int) -> None:
        self.scene = scene
        self.told: list[Told] = []
        self.refused: list[str] = []
        self.failures: Counter[str] = Counter()  # answers that made a student try again, by kind
        self.queued = 0
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        logins = [login for login in scene.accounts if login.startswith("s")]
        self._threads = [
            threading.Thread(
                target=self._hand_in, args=(login, rate / len(logins), f"{seed} {login}"), name=login, daemon=True
            )
            for login in logins
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No new uploads; returns when all that were begun are accepted."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def acknowledged(self) -> list[Told]:
        with self._lock:
            return list(self.told)

    def _hand_in(self, login: str, rate: float, seed: str) -> None:
        luck = random.Random(seed)
        account = self.scene.accounts[login]
        with _client(self.scene, account) as client:
            for number in itertools.count():
                if self._stopping.wait(luck.expovariate(rate)):
                    return
                while self.queued > _CROWD and not self._stopping.wait(0.1):
                    pass
                story = luck.choice(STORIES)
                salt = "of everybody" if luck.random() < 0.05 else f"{login} {number}"
                self.upload(client, account, story, salt, f"{login}-{number}", luck)

    def upload(
        self, client: httpx.Client, account: Account, story: str, salt: str, key: str, luck: random.Random
    ) -> Told | None:
        """Until it is accepted; none when that is refused, or not done after minutes."""
        data, until = variant(stories()[story], salt), time.monotonic() + _PATIENCE_S
        for tries in itertools.count(1):
            try:
                submission = post(client, stories()[story].file, data, key)
            except Refused as error:
                with self._lock:
                    self.refused.append(f"{account.login} {key}: {error}")
                return None
            except (httpx.HTTPError, OSError) as error:
                with self._lock:
                    self.failures[str(error) if isinstance(error, Unavailable) else type(error).__name__] += 1
                    if time.monotonic() > until:
                        self.refused.append(f"{account.login} {key}: no answer in {_PATIENCE_S:.0f} s")
                        return None
                time.sleep(luck.uniform(0.1, 0.5))
                continue
            told = Told(
                student=account.login, key=key, submission=submission, story=story, data=data, at=time.monotonic(),
                tries=tries,
            )  # fmt: skip
            with self._lock:
                self.told.append(told)
            return told
        raise AssertionError

    def cut_off(self, luck: random.Random) -> None:
        """A student whose connection breaks in the middle of an upload, or before the answer; then tries again."""
        login = luck.choice([login for login in self.scene.accounts if login.startswith("s")])
        account, story = self.scene.accounts[login], luck.choice(STORIES)
        key, salt = f"cut-{luck.randrange(10**9)}", f"cut {luck.randrange(10**9)}"
        request = _raw(self.scene, account, stories()[story].file, variant(stories()[story], salt), key)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.scene.port), 5) as raw:
            raw.sendall(request if luck.random() < 0.5 else request[: luck.randrange(len(request))])
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closed by a reset
        with _client(self.scene, account) as client:
            self.upload(client, account, story, salt, key, luck)


class Unavailable(httpx.HTTPError):
    """An answer that says to try again later."""


def post(client: httpx.Client, name: str, data: bytes, key: str) -> int:
    """The submission that was accepted. Raises Unavailable, httpx.HTTPError, Refused."""
    answer = client.post(PATH, files={"file": (name, data)}, headers={"Idempotency-Key": key})
    if answer.status_code in (429, 500, 502, 503, 504):
        raise Unavailable(f"answer {answer.status_code}")
    if answer.status_code not in (200, 201, 202):
        raise Refused(f"{answer.status_code} {answer.text[:300]}")
    return int(answer.json()["id"])


class Probe:
    """Whether the service is healthy: /health/ready says so, and an upload is graded.

    Each probe is another student's, for only one submission of a student is graded at a time.
    """

    def __init__(self, scene: Scene, students: Students) -> None:
        self._scene, self._students = scene, students
        self._turns = itertools.cycle([login for login in scene.accounts if login.startswith("probe")])
        self._numbers = itertools.count()
        self.steps = ""  # of the last probe, in words

    def seconds(self, since: float, timeout_s: float = 60.0) -> float | None:
        """How long after a moment the service was healthy; none when it was not by the timeout."""
        login, number = next(self._turns), next(self._numbers)
        account, until = self._scene.accounts[login], since + timeout_s
        submission: Told | None = None
        ready, self.steps = False, "not ready"
        with _client(self._scene, account) as client:
            while time.monotonic() < until:
                with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
                    if not ready:
                        answer = client.get("/health/ready", timeout=3)
                        ready = answer.status_code == 200
                        self._students.queued = answer.json()["queued"]
                        self.steps = f"ready {time.monotonic() - since:.2f}" if ready else str(answer.json()["reasons"])
                    if ready and submission is None:
                        submission = self._accepted(client, account, number)
                        self.steps += f", accepted {time.monotonic() - since:.2f}"
                    if submission is not None:
                        state = client.get(f"/api/v1/submissions/{submission.submission}", timeout=3).json()["state"]
                        if state == "graded":
                            return time.monotonic() - since
                time.sleep(0.03)
        return None

    def _accepted(self, client: httpx.Client, account: Account, number: int) -> Told:
        data, key = variant(stories()["correct_compact"], f"probe {number}"), f"probe-{number}"
        submission = post(client, stories()["correct_compact"].file, data, key)
        told = Told(
            student=account.login, key=key, submission=submission, story="correct_compact", data=data,
            at=time.monotonic(), tries=1,
        )  # fmt: skip
        self._students.told.append(told)
        return told


def _client(scene: Scene, account: Account) -> httpx.Client:
    headers = {"Authorization": f"Bearer {account.token}"}
    return httpx.Client(base_url=scene.address, headers=headers, timeout=_ANSWER_S, trust_env=False)


def _raw(scene: Scene, account: Account, name: str, data: bytes, key: str) -> bytes:
    """The bytes of an upload."""
    request = httpx.Request(
        "POST", scene.address + PATH, files={"file": (name, data)},
        headers={"Authorization": f"Bearer {account.token}", "Idempotency-Key": key, "Connection": "close"},
    )  # fmt: skip
    lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + request.read()
