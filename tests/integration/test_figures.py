"""Figures and pictures of a report: on its page, as resources of their own, and over REST."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from grader.reports import Text
from grader.service.access import Scope
from grader.store.states import Release

from .drawn import ADD, SUBTRACT, draw, drawing_kit, picture, plain_figure, png
from .service import HIDDEN_CHECK, Kit, program

API = "/api/v1/submissions"
OWN = Text(en="What your code drew", zh="你的代码画出的图")


@pytest.fixture(scope="module")
def drawn(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """Submission 1 is ada's: add_works failed and has a curve and a picture, subtract_works passed and has the rest."""
    made = drawing_kit(tmp_path_factory.mktemp("drawn"))
    made.hand_in("ada", program(fail=[ADD]))
    made.grade()
    yield made
    made.close()


def addresses(page: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'(?:src|srcset)="(/submissions/[^"]+)"', page)]


def test_the_page_names_every_figure_once_with_its_words(drawn: Kit) -> None:
    with drawn.browser("ada") as ada:
        page = ada.get("/submissions/1").text
    card, _, rest = page.partition('id="checks-title"')
    assert 'id="figure-add_works-loss"' in card
    assert card.count("<figure") == 1, "only the first thing to fix shows its figure at once"
    assert page.count('id="figure-') == 6
    assert rest.count('loading="lazy"') == 6
    assert 'href="#figure-add_works-loss"' in rest, "the fold of a check leads to its figures"
    assert page.count('alt="') == 7
    assert "true → predicted digit" in rest
    assert "What the figure shows" in page
    assert "<svg" not in rest.partition("figures-title")[2].partition("</section>")[0]


def test_every_address_on_the_page_is_an_image_that_may_be_kept_by_its_reader_only(drawn: Kit) -> None:
    with drawn.browser("ada") as ada:
        found = addresses(ada.get("/submissions/1").text)
        assert len(found) == 13
        for address in found:
            answer = ada.get(address)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "private, no-cache"
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; frame-ancestors 'none'")
            assert "script-src" not in policy
            again = ada.get(address, headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            weak = ada.get(address, headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
            assert weak.status_code == 304
            if "/figures/" in address:
                assert answer.headers["content-type"].startswith("image/svg+xml")
                assert ElementTree.fromstring(answer.text).get("role") == "img"
            else:
                assert answer.headers["content-type"] == "image/png"
                assert answer.headers["content-disposition"].startswith("attachment")
                assert answer.content == png(320, 200)


def test_a_figure_speaks_the_language_of_its_address(drawn: Kit) -> None:
    with drawn.browser("ada") as ada:
        ada.cookies.set("lang", "zh")
        page = ada.get("/submissions/1").text
        assert "图中内容" in page
        assert OWN.zh in page
        assert all("lang=zh" in address for address in addresses(page) if "/figures/" in address)
        english, chinese = (ada.get(f"/submissions/1/figures/add_works/loss.svg?lang={lang}") for lang in ("en", "zh"))
        assert "training step" in english.text
        assert "训练步数" in chinese.text
        assert english.headers["etag"] != chinese.headers["etag"]
        narrow = ada.get("/submissions/1/figures/add_works/loss.svg?lang=zh&width=narrow").text
        assert ElementTree.fromstring(narrow).get("width") == "318"


def test_staff_read_the_pictures_as_the_students(drawn: Kit) -> None:
    with drawn.browser("tina") as tina:
        page = tina.get("/submissions/1").text
        assert "What the student's code drew" in page
        assert "drawn by your code" not in page
        assert all(tina.get(address).status_code == 200 for address in addresses(page))


def test_what_is_not_there_is_not_found(drawn: Kit) -> None:
    with drawn.browser("ada") as ada, drawn.client("ada") as rest:
        for client, base in ((ada, "/submissions/1"), (rest, f"{API}/1")):
            for path in (
                "figures/add_works/other.svg", "figures/other/loss.svg", "pictures/add_works/2.png",
                "pictures/other/1.png",
            ):  # fmt: skip
                assert client.get(f"{base}/{path}").status_code == 404, path
            for path in ("figures/add_works/loss.svg?width=9999", "figures/add_works/loss.svg?lang=xx"):
                assert client.get(f"{base}/{path}").status_code == 422, path


def test_nothing_of_a_check_that_is_kept_back_is_shown(kit: Kit) -> None:
    """Neither before it is released, nor afterwards: its inputs stay hidden."""
    draw(kit, {HIDDEN_CHECK: [plain_figure()]}, {HIDDEN_CHECK: [picture()]})
    kit.hand_in("ada")
    kit.grade()
    for release in (Release.AFTER_DUE, Release.AT_ONCE):
        kit.rules(release=release)
        with kit.browser("ada") as ada, kit.browser("tina") as tina, kit.client("ada") as rest:
            assert "<figure" not in ada.get("/submissions/1").text + tina.get("/submissions/1").text
            for client, base in ((ada, "/submissions/1"), (tina, "/submissions/1"), (rest, f"{API}/1")):
                assert client.get(f"{base}/figures/{HIDDEN_CHECK}/loss.svg").status_code == 404
                assert client.get(f"{base}/pictures/{HIDDEN_CHECK}/1.png").status_code == 404
            checks = rest.get(f"{API}/1/report").json()["checks"]
            assert not any(check["figures"] or check["pictures"] for check in checks)


def test_a_figure_that_cannot_be_drawn_is_a_sentence_and_the_page_stays(kit: Kit) -> None:
    draw(kit, {ADD: [plain_figure("odd", {"mark": 1})]}, {})
    kit.hand_in("ada", program(fail=[ADD]))
    kit.grade()
    with kit.browser("ada") as ada:
        page = ada.get("/submissions/1")
        assert page.status_code == 200
        assert "The loss falls from 3 to 1." in page.text
        answers = [ada.get(address) for address in addresses(page.text)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert all("could not be drawn" in " ".join(ElementTree.fromstring(a.text).itertext()) for a in answers)


def test_a_report_without_figures_has_no_section_for_them(kit: Kit) -> None:
    kit.hand_in("ada", program(fail=[ADD]))
    kit.grade()
    with kit.browser("ada") as ada:
        page = ada.get("/submissions/1").text
    assert "figures-title" not in page
    assert "pictures-title" not in page


def test_rest_tells_where_figures_are_and_a_token_fetches_them(drawn: Kit) -> None:
    with drawn.client("ada", scopes=[Scope.SUBMIT]) as ada:
        report = ada.get(f"{API}/1/report", params={"lang": "zh"}).json()
        add = report["checks"][0]
        assert [set(figure) for figure in add["figures"]] == [{"name", "title", "alt", "href"}]
        assert "你的曲线" in add["figures"][0]["title"]
        assert add["figures"][0]["href"] == f"{API}/1/figures/add_works/loss.svg"
        own = add["pictures"][0]
        assert (own["width"], own["height"], own["href"]) == (320, 200, f"{API}/1/pictures/add_works/1.png")
        for check in report["checks"]:
            for shown in (*check["figures"], *check["pictures"]):
                assert ada.get(shown["href"]).status_code == 200
        text = ada.get(f"{API}/1/report").text
        assert '"spec"' not in text
        assert '"png"' not in text
        assert len(text) < 20_000
        refused = ada.get(add["figures"][0]["href"], headers={"Accept": "application/json"})
        assert refused.status_code == 406
    with drawn.client("ada", scopes=[Scope.METRICS]) as narrow:
        assert narrow.get(f"{API}/1/figures/add_works/loss.svg").status_code == 403


def test_every_stored_report_has_its_own_figures(kit: Kit) -> None:
    for name in ("first", "second"):
        draw(kit, {SUBTRACT: [plain_figure(name)]}, {SUBTRACT: [picture()]})
        with kit.client("tina") as tina:
            if name == "first":
                kit.hand_in("ada")
            else:
                assert tina.post(f"{API}/1/regrade").status_code == 202
        kit.grade()
    with kit.client("tina") as tina, kit.client("ada") as ada:
        rows = tina.get(f"{API}/1/reports").json()["items"]
        links = [row["report"]["checks"][1]["figures"][0]["href"] for row in rows]
        assert links == [
            f"{API}/1/figures/subtract_works/{name}.svg?report={row['id']}"
            for name, row in zip(("first", "second"), rows, strict=True)
        ]
        assert [tina.get(link).status_code for link in links] == [200, 200]
        assert [ada.get(link).status_code for link in links] == [403, 403]
        assert [tina.get(link.partition("?")[0]).status_code for link in links] == [404, 200]
        assert tina.get(links[0].replace("?report=", "?report=99")).status_code == 404
        kit.hand_in("bob")
        kit.grade()
        assert tina.get(links[0].replace("/1/", "/2/")).status_code == 404, "a report of another submission"


def test_the_page_comes_without_waiting_for_its_drawings(drawn: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.drawing._converted", lambda spec: pytest.fail("the page drew something"))
    with drawn.browser("ada") as ada:
        assert ada.get("/submissions/1").status_code == 200


def test_a_report_from_before_there_were_figures_is_shown(kit: Kit, tmp_path: Path) -> None:
    from sqlalchemy import text

    from grader.store.codec import pack, unpack

    kit.hand_in("ada", program(fail=[ADD]))
    kit.grade()
    with kit.service.store.write() as session:
        row = session.execute(text("select id, content from reports")).one()
        old = unpack(row.content).decode()
        for key in (',"figures":[],"pictures":[]', ', "figures": [], "pictures": []'):
            old = old.replace(key, "")
        old = re.sub(r'"format": ?2', '"format": 1', old)
        assert '"figures"' not in old
        session.execute(
            text("update reports set content = :new where id = :id"), {"new": pack(old.encode()), "id": row.id}
        )
    with kit.browser("ada") as ada:
        assert "First thing to fix" in ada.get("/submissions/1").text
