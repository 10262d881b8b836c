"""Reports for machines: JUnit XML and Gradescope's results.json. (The report's own JSON is `Report.to_json`.)"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from grader.display import calls_text
from grader.reports import Json, Language, Report, ReportStatus, Status, plain_number

# XML 1.0 has no way to write these characters, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def junit(reports: Sequence[Report], lang: Language = "en") -> str:
    """One test suite a file, one test case a check; a file that was not graded is one case with an error."""
    root = ElementTree.Element("testsuites")
    for report in reports:
        failures = sum(check.status is Status.FAILED for check in report.checks)
        skipped = sum(check.status is Status.NOT_REACHED for check in report.checks)
        graded = report.status is ReportStatus.GRADED
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_xml(f"{report.assignment}: {report.file}"),
            tests=str(len(report.checks) or 1),
            failures=str(failures),
            skipped=str(skipped),
            errors="0" if graded else "1",
            time=f"{report.timings_ms.get('total', 0.0) / 1e3:.3f}",
        )
        if not graded:
            case = ElementTree.SubElement(suite, "testcase", classname=report.assignment, name=str(report.status))
            message = report.message.say(lang) if report.message else str(report.status)
            ElementTree.SubElement(case, "error", message=_xml(message)).text = _xml(message)
        for check in report.checks:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=f"{report.assignment}.{check.part}",
                name=check.id,
                time=f"{check.wall_ms / 1e3:.3f}",
            )
            message = _xml(check.message.say(lang)) if check.message else ""
            if check.status is Status.FAILED:
                failure = ElementTree.SubElement(case, "failure", message=message)
                lines = [check.title.say(lang), message]
                if check.input is not None:
                    lines += [f"input: {call}" for call in calls_text(check.input)]
                lines += [f"got: {check.got}", f"expected: {check.expected}"]
                failure.text = _xml("\n".join(lines))
            elif check.status is Status.NOT_REACHED:
                ElementTree.SubElement(case, "skipped", message=message)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def gradescope(report: Report, lang: Language = "en") -> dict[str, Json]:
    """Gradescope's autograder result: https://gradescope-autograders.readthedocs.io/en/latest/specs/ (results.json)."""
    tests = []
    for check in report.checks:
        lines = [check.message.say(lang)] if check.message else []
        if check.input is not None:
            lines += [f"input: {call}" for call in calls_text(check.input)]
        if check.got is not None or check.expected is not None:
            lines += [f"got: {check.got}", f"expected: {check.expected}"]
        tests.append(
            {
                "name": f"{check.part}: {check.title.say(lang)}",
                "score": plain_number(check.points),
                "max_score": plain_number(check.max_points),
                "status": "passed" if check.status is Status.PASSED else "failed",
                "output": "\n".join(lines),
                "visibility": "visible",
            }
        )
    return {
        "score": plain_number(report.score),
        "output": "\n".join(note.say(lang) for note in report.notes),
        "execution_time": round(report.timings_ms.get("total", 0.0) / 1e3),
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {
            "assignment_version": report.assignment_version,
            "seed": report.seed,
            "status": str(report.status),
        },
    }
