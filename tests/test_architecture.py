"""The table of imports, and what the trusted side never does, read from the source by its syntax tree."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
GRADER = PROJECT / "grader"
FILES = {
    path.relative_to(PROJECT).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(GRADER.rglob("*.py"))
}
TREES = {name.removesuffix(".__init__"): ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}
IN_THE_JAIL = (
    "driver", "jail", "launcher", "zygote", "seccomp", "landlock", "wire", "values", "warming", "watching", "serving",
    "parameters", "substitutes", "plotting",
)  # fmt: skip
IN_A_CHILD = ("warming", "watching")
AUTHORS_API = {"grader.arrays", "grader.checks", "grader.figures", "grader.training"}
MOST_LINES, MOST_FUNCTION_LINES = 450, 60


def imports(tree: ast.AST) -> set[str]:
    """Every module named by an import, however deep in the file."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)} & set(TREES) or {
                node.module
            }
    return found


def ours(name: str) -> set[str]:
    return {module for module in imports(TREES[name]) if module.split(".")[0] == "grader"} - {"grader"}


def roots(tree: ast.AST) -> set[str]:
    return {name.split(".")[0] for name in imports(tree)}


def below(*names: str) -> set[str]:
    """These modules of ours, and those inside them."""
    return {
        module for module in TREES if any(module == f"grader.{n}" or module.startswith(f"grader.{n}.") for n in names)
    }


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("reports", set()),
        ("errors", below("reports")),
        ("numerics", below("reports")),
        ("arrays", below("errors")),
        ("pictures", below("reports")),
        ("sandbox.limits", set()),
        ("sandbox.posture", set()),
        ("sandbox.cgroups", set()),
        ("sandbox.wire", set()),
        ("sandbox.seccomp", set()),
        ("sandbox.landlock", set()),
        ("sandbox.jail", set()),
        ("sandbox.child", below("errors", "reports", "pictures", "sandbox")),
        ("sandbox.pool", below("errors", "reports", "sandbox")),
        ("sandbox.selftest", below("errors", "reports", "sandbox")),
        ("subjects", below("reports", "sandbox.wire", "sandbox.child")),
        ("marks", below("reports", "sandbox.wire", "subjects")),
        ("maps", below("marks", "reports")),
        ("figures", below("maps", "marks", "reports", "subjects")),
        ("wrapping", set()),
        ("vegalite", below("reports")),
        ("drawing", below("errors", "reports", "vegalite", "wrapping")),
        ("training", below("checks", "numerics", "reports", "sandbox.wire", "subjects")),
        ("formats", below("reports", "display", "sandbox.wire", "subjects")),
        ("terminal", below("reports", "display", "sandbox.wire", "subjects")),
    ],
)
def test_lower_modules_import_nothing_from_above(module: str, allowed: set[str]) -> None:
    assert ours(f"grader.{module}") - allowed == set()


def test_reports_need_the_standard_library_only() -> None:
    for name in ("grader.reports", "grader.errors"):
        assert roots(TREES[name]) - set(sys.stdlib_module_names) <= {"grader"}


@pytest.mark.parametrize("name", IN_THE_JAIL)
def test_what_runs_in_the_jail_needs_nothing_of_ours_but_itself(name: str) -> None:
    module = f"grader.sandbox.{name}"
    assert ours(module) <= {"grader.sandbox", *(f"grader.sandbox.{other}" for other in IN_THE_JAIL)}
    foreign = roots(TREES[module]) - set(sys.stdlib_module_names) - {"grader"}
    framework = {"tensorflow"} if name in IN_A_CHILD else set()  # inside functions: the child has imported it
    assert foreign <= (
        {"numpy"} | framework
        if name in ("driver", "wire", "values", "serving", "parameters", "substitutes", *IN_A_CHILD)
        else set()
    )


def test_the_intake_knows_nothing_of_running() -> None:
    for module in below("intake"):
        assert ours(module) <= below("intake", "reports", "errors"), module
        assert roots(TREES[module]) - set(sys.stdlib_module_names) <= {"grader"}, module


def test_only_the_entrances_import_settings() -> None:
    entrances = {module for module in TREES if module.startswith("grader.cli")} | {"grader.settings"}
    assert {module for module in TREES if "grader.settings" in ours(module)} <= entrances
    assert {module for module in TREES if ours(module) & {"grader.cli"}} == {"grader.__main__"}


def test_the_two_halves_do_not_know_each_other() -> None:
    """What grades knows nothing of courses, what keeps courses nothing of sandboxes. The worker joins them."""
    engine = below("grading", "running", "sessions", "assignments", "checks", "diagnosis", "intake", "sandbox")
    kept = below("store", "queue", "service")
    for module in engine:
        assert ours(module) & (kept | below("web", "worker", "events")) == set(), module
    for module in kept:
        assert ours(module) & (below("sandbox", "grading", "running", "sessions", "web", "worker")) == set(), module
    for module in below("store"):
        assert ours(module) <= below("store", "errors", "reports"), module
    for module in below("queue"):
        assert ours(module) <= below("store", "queue", "errors", "reports"), module
    for module in below("worker"):
        assert ours(module) & below("web") == set(), module
    for module in below("web"):
        assert ours(module) & below("worker", "grading", "running", "sessions") == set(), module


def test_only_the_edges_open_transactions() -> None:
    """Below the edge nothing commits: a service function works in the transaction that it is given."""
    for module in below("service"):
        said = {name for name, _ in calls(TREES[module])}
        ends = {name for name in said if name.endswith((".commit", "store.write", "store.read"))}
        assert not ends | (said & {"session.rollback"}), module


def test_there_is_no_circle() -> None:
    edges = {module: {other for other in ours(module) if other != module and other in TREES} for module in TREES}
    edges = {
        module: {o for o in others if TREES[o].body[1:]} for module, others in edges.items()
    }  # bare packages aside
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in edges[module]:
                visit(other, (*path, module))
            done.add(module)

    for module in edges:
        visit(module, ())


@pytest.mark.parametrize("name", [n for n in TREES if n not in {f"grader.sandbox.{c}" for c in IN_A_CHILD}])
def test_no_framework_in_a_trusted_process(name: str) -> None:
    assert roots(TREES[name]) & {"tensorflow", "torch", "keras", "jax"} == set()


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def dangers(tree: ast.AST) -> set[str]:
    """Ways to run text or foreign bytes as code."""
    found = roots(tree) & {"pickle", "cPickle", "dill", "shelve", "marshal", "cloudpickle", "joblib", "yaml"}
    for name, call in calls(tree):
        if name in (
            "eval",
            "exec",
            "compile",
            "os.system",
            "os.popen",
            "__import__",
            "np.load",
            "numpy.load",
            "np.fromfile",
        ):
            found.add(name)
        if name.startswith(("os.exec", "os.spawn", "os.posix_spawn", "subprocess.")):
            found.add("os.exec" if name.startswith("os.exec") else name)
        if any(
            k.arg == "shell" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
            for k in call.keywords
        ):
            found.add("shell=")
        if any(k.arg == "allow_pickle" for k in call.keywords):
            found.add("allow_pickle=")
    return found


ALLOWED = {
    "grader.sandbox.driver": {"exec", "compile"},  # the student's program, in the jail
    "grader.sandbox.zygote": {"__import__"},  # the runtime, before the first fork
    "grader.sandbox.launcher": {"os.exec"},  # the interpreter anew, in the jail
    "grader.arrays": {"np.load", "allow_pickle="},  # an author's own file, without pickles
    "grader.sandbox.substitutes": {"np.load"},  # the digits, in the jail
    "grader.sandbox.starting": {"subprocess.Popen"},  # the launcher; its arguments are ours
}


@pytest.mark.parametrize("name", TREES)
def test_no_text_becomes_code(name: str) -> None:
    assert dangers(TREES[name]) - ALLOWED.get(name, set()) == set()


def test_the_rule_above_sees_what_it_should() -> None:
    text = "import pickle, subprocess\nsubprocess.run('x', shell=True)\neval('1')\n"
    text += "os.execve(a)\nnp.load(f, allow_pickle=True)"
    seen = {"pickle", "subprocess.run", "shell=", "eval", "os.exec", "np.load", "allow_pickle="}
    assert dangers(ast.parse(text)) == seen


@pytest.mark.parametrize("path", sorted((PROJECT / "reference").glob("*/checks.py")), ids=lambda p: p.parent.name)
def test_checks_import_the_authors_api_only(path: Path) -> None:
    found = imports(ast.parse(path.read_text(encoding="utf-8")))
    assert {n for n in found if n.split(".")[0] not in {*sys.stdlib_module_names, "numpy"}} <= AUTHORS_API


@pytest.mark.parametrize("name", TREES)
def test_a_module_says_what_it_is_and_can_be_read_in_one_sitting(name: str) -> None:
    assert ast.get_docstring(TREES[name])
    path = FILES.get(name) or FILES[f"{name}.__init__"]
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES
    assert not set(name.split(".")) & {"utils", "util", "helpers", "helper", "common", "core", "misc"}


@pytest.mark.parametrize("name", TREES)
def test_a_function_fits_a_screen(name: str) -> None:
    long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(TREES[name])
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= MOST_FUNCTION_LINES
    ]
    assert long == [] or name == "grader.doctor", long  # one generator, a layer after the other


def tracked_texts() -> Iterator[tuple[Path, str]]:
    skip = {".git", ".venv", ".venv-runner", "__pycache__", "build", "var"}
    for path in PROJECT.rglob("*"):
        parts = set(path.relative_to(PROJECT).parts)
        if (
            path.is_file()
            and not parts & skip
            and not any(p.endswith(("_cache", ".egg-info")) or p == ".hypothesis" for p in parts)
        ):
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_path_of_a_machine_and_no_address_of_a_registry() -> None:
    machine = re.compile(r"(?<![\w.])/(?:ho" + r"me|Us" + r"ers|ro" + r"ot)/[A-Za-z]|" + re.escape(f"{PROJECT}/"))
    found = [f"{path}: {match.group()}" for path, text in tracked_texts() if (match := machine.search(text))]
    assert found == []
    address = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|file://")
    locks = list((PROJECT / "deploy" / "requirements").glob("*.txt"))
    assert len(locks) >= 3
    assert [path.name for path in locks if address.search(path.read_text(encoding="utf-8"))] == []
