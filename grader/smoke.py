"""Posts every story to a running service as a student's program would, and compares the reports that come back."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from xml.etree import ElementTree

import httpx

from grader.errors import GraderError, UsageError
from grader.reports import Json
from grader.sandbox.child import clean_text
from grader.stories import Seen, Story

_WAIT_S = 30  # as long as the service lets one request wait for its report
_LOOK_S = 0.5
_ANSWER_S = 60.0
_MOST_TRIES = 4  # of a request that the network lost; the key of a post makes it safe to repeat
_MOST_REFUSALS = 40  # answers 429 in a row


class ServerError(GraderError):
    """The service cannot be reached, or answers in a way that no version of it does."""

    exit_code = 4
    http_status = 502


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a story went. differences: none when all is as expected. skipped: why it was not posted."""

    story: Story
    seconds: float = 0.0
    score: float | None = None
    differences: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def good(self) -> bool:
        return not self.differences


@dataclass
class Client:
    """Hands in over REST. longest_s: for one story, queueing and waiting for the rate limit included."""

    server: str
    token: str
    course: str
    longest_s: float = 900.0
    own: bool = False  # our own server on loopback, where no proxy is asked
    sleep: Callable[[float], None] = time.sleep
    _run: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            base_url=f"{self.server.rstrip('/')}/api/v1", headers={"Authorization": f"Bearer {self.token}"},
            timeout=_ANSWER_S, trust_env=not self.own, follow_redirects=False,
        )  # fmt: skip

    def close(self) -> None:
        self._http.close()

    def tell(self, story: Story) -> Result:
        """Posts one story and waits for its reports. Raises UsageError, ServerError when nothing can be said."""
        started = time.perf_counter()
        posted = self._send(
            "POST", f"/courses/{self.course}/assignments/{story.assignment}/submissions",
            files={"file": (story.file, story.data)},
            headers={"Prefer": f"wait={_WAIT_S}", "Idempotency-Key": f"{self._run}-{story.id}"[:100]},
        )  # fmt: skip
        if posted.status_code == httpx.codes.NOT_FOUND:
            return Result(story=story, skipped=f"{self.course} does not hand out {story.assignment}")
        if posted.status_code not in (200, 201, 202):
            return Result(story=story, differences=(f"the file was not taken: {_detail(posted)}",))
        number = _json(posted)["id"]
        en, zh = (self._report(number, lang, started) for lang in ("en", "zh"))
        if en is None or zh is None:
            return Result(story=story, differences=(f"no report within {self.longest_s:.0f} s",))
        try:
            found = story.differences_from(Seen.of(en, zh))
        except (KeyError, TypeError) as error:
            raise ServerError(f"{self.server} gives a report that is none: {error!r}") from None
        return Result(
            story=story, seconds=time.perf_counter() - started, score=en["score"],
            differences=tuple(clean_text(text, 500) for text in found),
        )  # fmt: skip

    def _report(self, number: int, lang: str, started: float) -> dict[str, Json] | None:
        while time.perf_counter() - started < self.longest_s:
            answer = self._send("GET", f"/submissions/{number}/report", params={"lang": lang})
            if answer.status_code == httpx.codes.OK:
                return _json(answer)
            if answer.status_code != httpx.codes.ACCEPTED:
                raise ServerError(f"{self.server} gives no report on submission {number}: {_detail(answer)}")
            self.sleep(_LOOK_S)
        return None

    def _send(self, method: str, path: str, **options: Json) -> httpx.Response:
        """A request, repeated when the network fails and when the service asks to come later."""
        tries = refusals = 0
        while True:
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                tries += 1
                if tries >= _MOST_TRIES:
                    raise ServerError(f"{self.server} cannot be reached: {error}") from None
                self.sleep(tries)
                continue
            except httpx.InvalidURL as error:
                raise UsageError(f"--server {self.server}: {error}") from None
            if answer.status_code in (401, 403):
                raise UsageError(f"{self.server} does not take the token: {_detail(answer)}")
            refusals += 1
            if answer.status_code not in (429, 503) or refusals > _MOST_REFUSALS:
                return answer
            self.sleep(_retry_after(answer))


def _retry_after(answer: httpx.Response) -> float:
    told = answer.headers.get("retry-after", "")
    return min(120.0, float(told)) if told.isascii() and told.isdigit() else 5.0


def _json(answer: httpx.Response) -> dict[str, Json]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServerError(f"{answer.url} does not answer in JSON; is it Grader?")
    return found


def _detail(answer: httpx.Response) -> str:
    try:
        return clean_text(str(answer.json()["detail"]), 300)
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def smoke(clients: Sequence[Client], stories: Sequence[Story], absent: dict[str, str]) -> Iterator[Result]:
    """Every story, in order; as many at once as there are clients, each with a student of its own.

    absent: {assignment: why it cannot be graded there}.
    """
    free = SimpleQueue[Client]()
    for client in clients:
        free.put(client)

    def tell(story: Story) -> Result:
        if story.assignment in absent:
            return Result(story=story, skipped=absent[story.assignment])
        client = free.get()
        try:
            return client.tell(story)
        finally:
            free.put(client)

    with ThreadPoolExecutor(len(clients)) as pool:
        asked = [pool.submit(tell, story) for story in stories]
        try:
            for answer in asked:
                yield answer.result()
        finally:
            for answer in asked:  # of which nobody wants to know any more, after an error
                answer.cancel()


def junit(results: Sequence[Result]) -> str:
    """One suite an assignment, one case a story."""
    root = ElementTree.Element("testsuites")
    for assignment in dict.fromkeys(result.story.assignment for result in results):
        mine = [result for result in results if result.story.assignment == assignment]
        suite = ElementTree.SubElement(
            root, "testsuite", name=f"grader smoke: {assignment}", tests=str(len(mine)),
            failures=str(sum(not result.good for result in mine)), errors="0",
            skipped=str(sum(bool(result.skipped) for result in mine)),
            time=f"{sum(result.seconds for result in mine):.3f}",
        )  # fmt: skip
        for result in mine:
            case = ElementTree.SubElement(
                suite, "testcase", classname=assignment, name=result.story.name, time=f"{result.seconds:.3f}"
            )
            if result.skipped:
                ElementTree.SubElement(case, "skipped", message=result.skipped)
            elif not result.good:
                failure = ElementTree.SubElement(case, "failure", message=result.differences[0])
                failure.text = "\n".join([result.story.about, *result.differences])
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
