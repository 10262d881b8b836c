"""One evening in the browser: a student hands in, reads what is wrong, and a teaching assistant changes the score."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

from playwright.sync_api import Page, expect

from .conftest import PROJECT, Served, Visit

STORIES = PROJECT / "submissions" / "numpy_autodiff"
RIGHT = STORIES / "correct_compact" / "solution.py"


SIGNED_IN: set[str] = set()


def sign_in(page: Page, served: Served, login: str) -> None:
    """By the one-time link the first time, then by the password that was set then."""
    if login not in SIGNED_IN:
        SIGNED_IN.add(login)
        page.goto(served.links[login])
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("New password").fill(f"{login} likes long passwords")
        page.get_by_role("button", name="Save password").click()
        expect(page.get_by_text("Your new password is saved.")).to_be_visible()
    else:
        page.goto(f"{served.url}/sign-in")
        page.get_by_label("Login").fill(login)
        page.get_by_label("Password").fill(f"{login} likes long passwords")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def notebook(folder: Path, *, wrong: bool) -> Path:
    """A notebook as a student saves it: text, a plot command, the homework, a training loop that must not run."""
    source = RIGHT.read_text(encoding="utf-8")
    if wrong:
        source = source.replace("grad * (x > 0)", "grad * (x < 0)").replace("> 0", ">= -1e9", 0)
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# My homework\n", "Ada, 23:50"]},
        {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": [], "source": ["%matplotlib inline\n"]},
        {"cell_type": "code", "metadata": {}, "execution_count": 2, "outputs": [], "source": source.splitlines(True)},
        {
            "cell_type": "code", "metadata": {}, "execution_count": 3,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": ["epoch 1\n"] * 50}],
            "source": ["while True:\n", "    print('still training')\n"],
        },
    ]  # fmt: skip
    path = folder / ("try.ipynb" if wrong else "final.ipynb")
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return path


def hand_in(page: Page, served: Served, file: Path) -> None:
    page.goto(f"{served.url}/courses/demo/assignments/numpy_autodiff")
    page.locator("input[type=file]").set_input_files(file)
    expect(page.locator("[data-understood]")).to_contain_text("Matmul")
    page.get_by_role("button", name="Hand in", exact=True).click()
    page.wait_for_url(re.compile("/submissions/"))


def test_a_student_hands_in_and_a_teaching_assistant_overrides(served: Served, visit: Visit, tmp_path: Path) -> None:
    ada = visit()
    sign_in(ada, served, "ada")
    wrong = next(path for path in (STORIES / "divides_by_the_batch").iterdir() if path.name != "expected.toml")
    hand_in(ada, served, wrong)
    loads: list[str] = []
    ada.on("framenavigated", lambda frame: loads.append(frame.url))
    card = ada.locator("section.first")
    expect(card.get_by_role("heading", name="First thing to fix")).to_be_visible(timeout=30_000)
    assert loads == [], "the report came without another navigation"
    expect(card).to_contain_text("expected")
    expect(ada.locator("#checks-title ~ .tally")).to_contain_text("failed")
    hint = card.locator("p").first.inner_text()
    assert len(hint.split()) > 5, "one sentence says what is wrong"

    hand_in(ada, served, notebook(tmp_path, wrong=False))
    expect(ada.get_by_role("heading", name="Everything passed")).to_be_visible(timeout=30_000)
    assert loads[1:] == loads[1:2], "only the form's own navigation"
    expect(ada.get_by_text("Left out of your file")).to_be_visible()
    ada.get_by_role("link", name=re.compile("What changed")).click()
    expect(ada.locator("main")).to_contain_text("removed")
    submission = re.search(r"/submissions/(\d+)", ada.url)
    assert submission is not None

    tessa = visit()
    sign_in(tessa, served, "tessa")
    tessa.goto(f"{served.url}/courses/demo/gradebook")
    tessa.get_by_label("Filter").fill("ada")
    tessa.get_by_role("button", name="Show", exact=True).click()
    row = tessa.get_by_role("row").filter(has_text="Ada Marlow")
    expect(row).to_contain_text("100")
    row.get_by_role("link", name="Ada Marlow").click()
    section = tessa.locator("#numpy_autodiff")
    section.get_by_text("Set the score or give an extension").click()
    section.get_by_label(re.compile("^Score")).fill("42.5")
    section.get_by_label(re.compile("Reason")).first.fill("Agreed in the exercise class.")
    section.get_by_role("button", name=re.compile("Set the score")).click()
    expect(tessa.locator("main")).to_contain_text("42.5")

    tessa.goto(f"{served.url}/courses/demo/audit")
    entry = tessa.get_by_role("row").filter(has_text="Agreed in the exercise class.")
    expect(entry).to_contain_text("42.5")
    expect(entry).to_contain_text("100")

    tessa.goto(f"{served.url}/courses/demo/gradebook")
    with tessa.expect_download() as download:
        tessa.get_by_role("link", name="CSV of exactly this").click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    assert any("ada" in row and any("42.5" in cell for cell in row) for row in rows), rows

    ada.goto(f"{served.url}/courses/demo")
    expect(ada.locator("main")).to_contain_text("42.5")


def test_a_page_fills_in_without_a_reload(served: Served, visit: Visit) -> None:
    """The page of a submission that waits shows every check from the start, and each as it ends."""
    student = visit()
    sign_in(student, served, "xiaohe")
    slow = STORIES / "hang_in_relu_backward"
    hand_in(student, served, next(path for path in slow.iterdir() if path.name != "expected.toml"))
    rows = student.locator("#checks-title ~ * li, #checks-title ~ * summary")
    before = rows.count()
    assert before > 10
    expect(student.locator("main")).to_contain_text("passed", timeout=10_000)
    moved = student.evaluate("window.__loaded = true")
    assert moved
    expect(student.get_by_role("heading", name="First thing to fix")).to_be_visible(timeout=60_000)
    assert student.evaluate("window.__loaded === true"), "the page was not loaded again"
    expect(student.locator("#announce")).not_to_be_empty()


def test_everything_works_without_javascript(served: Served, visit: Visit) -> None:
    ada = visit(java_script_enabled=False)
    sign_in(ada, served, "ada")
    ada.goto(f"{served.url}/courses/demo/assignments/numpy_autodiff")
    ada.get_by_text("Paste code instead").click()
    ada.get_by_label("Your code").fill(RIGHT.read_text(encoding="utf-8") + "\n# without a script\n")
    ada.get_by_role("button", name="Hand in", exact=True).click()
    expect(ada.get_by_role("heading", name="Everything passed")).to_be_visible(timeout=30_000)


def test_a_refused_upload_says_why_and_loses_nothing(served: Served, visit: Visit, tmp_path: Path) -> None:
    ada = visit(java_script_enabled=False)
    sign_in(ada, served, "ada")
    ada.goto(f"{served.url}/courses/demo/assignments/numpy_autodiff")
    (tmp_path / "essay.docx").write_bytes(b"x")
    ada.locator("input[type=file]").set_input_files(tmp_path / "essay.docx")
    ada.get_by_role("button", name="Hand in", exact=True).click()
    expect(ada.locator("main")).to_contain_text("essay.docx is not a .py, .ipynb or .zip file")
    expect(ada.get_by_role("button", name="Hand in", exact=True)).to_be_visible()


def test_one_hands_in_by_keyboard_alone(served: Served, visit: Visit) -> None:
    ada = visit()
    sign_in(ada, served, "ada")
    ada.goto(f"{served.url}/courses/demo/assignments/numpy_autodiff")
    for _ in range(40):
        ada.keyboard.press("Tab")
        if ada.evaluate("document.activeElement.id") == "file":
            break
    assert ada.evaluate("document.activeElement.id") == "file"
    styles = "['.drop', '.drop label'].map(s => getComputedStyle(document.querySelector(s)).outlineStyle).join()"
    outline = ada.evaluate(styles)
    assert "solid" in outline or "auto" in outline, "where the keyboard is can be seen"
    ada.keyboard.press("Tab")
    ada.keyboard.press("Enter")
    ada.keyboard.press("Tab")
    ada.keyboard.insert_text(RIGHT.read_text(encoding="utf-8") + "\n# by keyboard\n")
    for _ in range(5):
        ada.keyboard.press("Tab")
        if ada.evaluate("document.activeElement.tagName") == "BUTTON":
            break
    ada.keyboard.press("Enter")
    expect(ada.get_by_role("heading", name="Everything passed")).to_be_visible(timeout=30_000)
