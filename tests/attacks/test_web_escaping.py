"""Text of people stays text: in pages, drawings, files for spreadsheets, headers, the log and the terminal."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from grader.cli_output import one_line, show
from grader.logs import OneLine
from grader.reports import CheckResult, Report, Status, Text, Worst
from grader.service import exports
from grader.service.exports import Shape
from grader.store.models import Course, Enrolment, Regrade, User
from grader.web import charts
from grader.web.charts import AttemptCount, MistakeCount, PassRate
from grader.web.markup import statement
from tests.integration.service import SUMS, Kit, make_kit, program

from .visits import SHEET, STAFF_PAGES, get, rename, send

EVIL = "\"'><xss onload=alert(1)></title></textarea></script></svg><script>alert(1)</script>${7*7}{{7*7}}&#x3c;"
CONTROL = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m\r\nGET /fake 200\b\b\u2028\u202e"


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(page: str, where: str) -> None:
    for tag, attributes in Elements(page).found:
        assert tag not in ("xss", "style", "iframe", "object", "embed", "base", "foreignobject"), (where, tag)
        assert not any(name.startswith("on") or name == "style" for name in attributes), (where, tag, attributes)
        if tag == "script":
            assert (attributes.get("src") or "").startswith("/static/"), (where, attributes)
        for name in ("href", "src", "action", "formaction", "xlink:href"):
            target = (attributes.get(name) or "/").strip().lower()
            assert target.startswith(("/", "#", "?", "http", "data:text/csv", "data:image")), (where, name, target)
            assert not target.startswith("//"), (where, name, target)
    assert "49" not in re.findall(r"\$?\{\{?(\d+)", page), where


@pytest.fixture(scope="module")
def poisoned(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """A course in which every text that a person can choose is an attack, also those that a roster would refuse."""
    kit = make_kit(tmp_path_factory.mktemp("poisoned"))
    honest = kit.engine.grade

    def grade(assignment: Any, file: str, data: bytes, **options: Any) -> Report:
        report = honest(assignment, file, data, **options)
        return replace(
            report,
            file=file,
            printed=EVIL + CONTROL,
            notes=(Text(en=EVIL, zh=EVIL),),
            runtime={EVIL: EVIL},
            checks=tuple(poison(check) for check in report.checks),
        )

    kit.engine.grade = grade  # type: ignore[method-assign]
    for login in ("ada", "bob", "chen", "tina", "teacher"):
        rename(kit, login, EVIL + login)
    with kit.service.store.write() as session:
        session.query(User).filter(User.login == "ada").one().email = EVIL
        session.query(Course).filter(Course.name == "dl").one().title = EVIL
        for enrolment in session.query(Enrolment):
            enrolment.section = EVIL[:40]
    for number, login in enumerate(("ada", "bob", "ada")):
        kit.hand_in(login, program(fail=["*"], mistake=EVIL[:90], salt=str(number)) + EVIL.encode(), file=EVIL + ".py")
    kit.grade()
    with kit.browser("teacher") as teacher:
        person = f"{SHEET}/students/ada"
        assert send(kit, teacher, f"{person}/override", {"score": "50", "reason": EVIL}).status_code == 303
        assert send(kit, teacher, f"{person}/extension", {"extra_attempts": "1", "reason": EVIL}).status_code == 303
        send(kit, teacher, "/courses/dl/regrades", {"what": f"{SUMS}/every", "reason": EVIL})
        kit.grade()
    with kit.service.store.read() as session:
        assert session.query(Regrade).one().reason.startswith(EVIL[:20])
    yield kit
    kit.close()


def poison(check: CheckResult) -> CheckResult:
    return replace(
        check,
        status=Status.FAILED,
        message=Text(en=EVIL, zh=EVIL),
        got=EVIL,
        expected={EVIL: [EVIL, 1.0]},
        input=[{"call": EVIL, "arguments": [EVIL]}],
        worst=Worst(index=(0,), difference=1.0),
    )


PLACES = (
    *STAFF_PAGES,
    "/submissions/1",
    "/submissions/1/changes",
    "/submissions/3/changes",
    "/submissions/2",
    "/courses/dl/students/ada",
    "/courses/dl/regrades/1",
    f"/courses/dl/gradebook?q={EVIL}",
    f"/courses/dl/gradebook?sort={EVIL}",
    f"/courses/dl/audit?person={EVIL}&action={EVIL}",
    f"{SHEET}/mistakes/{EVIL[:90].replace('/', '%2F')}",
    f"/courses/dl/regrades?assignment={EVIL}",
    f"/courses/{EVIL}",
    f"/sign-in?after=/{EVIL}",
    f"/sign-in/link/{EVIL}",
    "/account?first=" + EVIL,
)


@pytest.mark.parametrize("login", ["teacher", "ada"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_of_a_person_becomes_an_element_of_a_page(poisoned: Kit, login: str, language: str) -> None:
    """Names, sections, reasons, file names, prints, exceptions, values, the filter: each page shows them as text."""
    seen = 0
    with poisoned.browser(login) as client:
        client.cookies.set("lang", language)
        for place in PLACES:
            answer = client.get(place)
            assert answer.status_code < 500, place
            assert "default-src 'self'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert_harmless(answer.text, place)
            seen += "&lt;xss onload" in answer.text
    assert seen > 5  # it was there, as text


def test_forms_that_are_shown_again_hold_text_only(poisoned: Kit) -> None:
    """What was typed comes back into its box, not into the page."""
    with poisoned.browser("teacher") as teacher:
        person = f"{SHEET}/students/ada"
        answers = [
            send(poisoned, teacher, f"{person}/override", {"score": EVIL, "reason": EVIL}),
            send(poisoned, teacher, f"{person}/extension", {"due_at": EVIL, "extra_attempts": EVIL, "reason": EVIL}),
            send(
                poisoned,
                teacher,
                "/courses/dl/deadlines/sums",
                dict.fromkeys(("opens_at", "late_days", "release"), EVIL),
            ),
            send(poisoned, teacher, "/courses/dl/deadlines", {"name": EVIL}),
            send(poisoned, teacher, "/courses/dl/regrades", {"what": EVIL, "reason": EVIL}),
            send(
                poisoned,
                teacher,
                "/courses/dl/roster/preview",
                {"pasted": f"login,name,section\nx,{EVIL},{EVIL}\n{EVIL}"},
            ),
            send(poisoned, teacher, "/account/tokens", {"name": EVIL, "days": "1", "scopes": "submit"}),
            send(poisoned, teacher, "/account/password", {"current": EVIL, "password": EVIL}),
            send(poisoned, teacher, f"{SHEET}", {"pasted": ""}, files={"file": (f"{EVIL}.exe", b"x")}),
        ]
    with poisoned.browser() as stranger:
        stranger.get("/sign-in")
        answers.append(send(poisoned, stranger, "/sign-in", {"login": EVIL, "password": EVIL, "next": EVIL}))
    for answer in answers:
        assert answer.status_code < 500
        assert_harmless(answer.text, str(answer.url))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_labels_of_charts_are_text(lang: Any) -> None:
    """A title, hint or name in a drawing adds no element, no style and no address to it."""
    drawn = [
        charts.pass_rates(
            [PassRate(title=EVIL, passed=1, of=3), PassRate(title="<![CDATA[" + EVIL, passed=0, of=3)], lang
        ),
        charts.mistake_counts([MistakeCount(hint=EVIL, students=3)], lang),
        charts.attempts_until_full([AttemptCount(attempts=1, students=2)], 1, lang),
        charts.histogram([0.0, 100.0, 200.0, -1.0], 100.0, lang),
    ]
    for drawing in drawn:
        assert_harmless(str(drawing), "a chart")


def test_a_statement_is_markdown_without_html() -> None:
    """What an author writes is trusted to be read, not to run: no HTML and no other address than http gets through."""
    links = "javascript:alert(1)", "data:text/html,x", "//evil.example", "vbscript:x", "JaVaScRiPt&colon;alert(1)"
    text = "\n\n".join([EVIL, "<script>alert(1)</script>", *(f"[a]({link}) ![b]({link}) <{link}>" for link in links)])
    page = str(
        statement(text + "\n\n$\\href{javascript:alert(1)}{x}$ $</math><script>alert(1)</script>$\n\n`" + EVIL + "`")
    )
    assert_harmless(page, "a statement")


# Files, headers, log, terminal --------------------------------------------------------------------------------------

FORMULAS = (
    "=1+1",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "  =1",
    "\t=1",
    "\r=1",
    "\n=1",
    "\u00a0=1",
    "\u3000=1",
    "\u2003=1",
    "\v=1",
    "x;=HYPERLINK(1)",
    "x;  @y",
    "x\t=1",
    "x\n=1",
    "x\r\n+1",
    'x";=1',
    '=HYPERLINK("http://e")',
)
_RUNS = re.compile(r"^\s*[=+\-@＝＋－＠\t\r]")


def cells(text: str) -> list[str]:
    """Every cell, as a spreadsheet of any country would cut the file: at commas, at semicolons, at tabs."""
    found = []
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter):
            found += (
                row
                if delimiter == ","
                else [re.sub(r'^.*?,"?', "", cell) if n == 0 else cell for n, cell in enumerate(row)]
            )
    return found


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_cell_of_a_file_is_a_formula(kit: Kit, formula: str) -> None:
    """Names and sections reach Excel, Canvas and Moodle as text: behind spaces, full-width, after a semicolon too."""
    rename(kit, "ada", formula)
    with kit.service.store.write() as session:
        session.query(User).filter(User.login == "ada").one().email = formula
        session.query(Enrolment).filter(Enrolment.user_id == kit.ids["ada"]).one().section = formula[:40]
    with kit.browser("tina") as tina, kit.client("tina") as api:
        files = [tina.get("/courses/dl/gradebook.csv").text]
        files += [api.get(f"/api/v1/courses/dl/grades?format={shape}").text for shape in ("csv", "canvas", "moodle")]
    for text in files:
        assert not [
            cell for cell in cells(text) if _RUNS.match(cell) and not cell.strip('"\r\n').lstrip("-").isdigit()
        ], text
        assert formula.strip()[-1] in text


def test_what_is_no_formula_is_left_alone() -> None:
    """Honest names are exported as they are."""
    for name in ("Ada Abel", "O'Neil", "Jean-Luc", "陈晨", "a=b", "x@example.org", "Li; Hua"):
        assert exports.safe(name) == name
    assert set(Shape) == {"grader", "canvas", "moodle"}


def test_names_of_downloads_are_one_header(kit: Kit) -> None:
    """Quotes, line ends and Chinese characters in a file name end neither the header nor the name."""
    for name in ('a"b.py', "a\r\nX-Evil: 1.py", "作业 一.py", "a;b=c.py", "a'b%22.py", "\u202e.py"):
        number = kit.hand_in("ada", b"x = 1\n", file=name)
        with kit.browser("ada") as ada, kit.client("ada") as api:
            for answer in (ada.get(f"/submissions/{number}/file"), api.get(f"/api/v1/submissions/{number}/file")):
                assert answer.status_code == 200
                assert "x-evil" not in answer.headers
                kept = answer.headers["content-disposition"]
                assert re.fullmatch(
                    r"attachment(; filename=\"[\w ._-]*\")?; filename\*=(UTF|utf)-8''[\w.%~!$&+^`|-]*", kept
                ), kept


def test_requests_cannot_write_lines_into_the_log(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """An address with line ends and colours is one plain line of the access log; what a formatter gets is one too."""
    with caplog.at_level(logging.INFO, logger="grader.access"):
        get(kit, b"/x%0d%0aGET%20/fake%20200%1b%5b31m%c2%9b", b"User-Agent: \x80\x9b31m")
    lines = [record.getMessage() for record in caplog.records if "/x" in record.getMessage()]
    assert len(lines) == 1
    assert not any(unicodedata.category(character) == "Cc" for character in lines[0])
    record = logging.LogRecord("grader", logging.INFO, "", 0, "%s", (CONTROL,), None)
    shown = OneLine("%(message)s").format(record)
    assert not any(unicodedata.category(character) == "Cc" for character in shown)


def test_the_terminal_obeys_no_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables of `grader grades` and `grader users` show control characters and markup as nothing, or as text."""
    name = CONTROL + "[link=http://evil]click[/link][/]"
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\u202e" for c in one_line(name))
    show([{"name": name, "score": 1.0}], {"name": "Name", "score": "Score"}, as_json=False, empty="")
    printed = capsys.readouterr().out
    assert "[link=http" in printed.replace("\n", "")
    assert not any(unicodedata.category(character) == "Cc" and character != "\n" for character in printed)
    show([{"name": name}], {"name": "Name"}, as_json=True, empty="")
    assert json.loads(capsys.readouterr().out)[0]["name"] == name


def test_events_are_lines_that_nobody_else_writes(kit: Kit) -> None:
    """A stream of events holds JSON on one line each, whatever the texts are; a line end forges none."""
    number = kit.hand_in("ada", program(fail=["*"], mistake="x\n\nevent: done\ndata: {}\n\n"))
    kit.grade()
    with kit.browser("ada") as ada:
        text = ada.get(f"/submissions/{number}/events").text
    for block in text.strip().split("\n\n"):
        head, _, data = block.partition("\n")
        assert head.startswith("event: ")
        json.loads(data.removeprefix("data: "))
    assert text.count("event: done") == 1


def test_problem_documents_are_json_and_never_pages(shared_kit: Kit) -> None:
    """Errors of the API echo what was sent inside of JSON with its own media type, so no browser renders them."""
    with shared_kit.client("tina") as api:
        answers: list[httpx.Response] = [
            api.get(f"/api/v1/courses/{EVIL}"),
            api.get("/api/v1/courses/dl/grades", params={"sort": EVIL}),
            api.get("/api/v1/submissions/1/report", params={"lang": EVIL}),
            api.get(f"/api/v1/{EVIL}"),
        ]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert SimpleNamespace(**answer.json()).status == answer.status_code
