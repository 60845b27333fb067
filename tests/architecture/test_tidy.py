"""House rules as tests. Each rule's checker is also shown a planted violation, so that it can be seen to fail."""

import ast
import inspect
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import errors

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tallystick"
LIMITS = SRC / "limits.py"
MODULE_MAX = 400  # lines
MEDIAN_MAX = 150  # lines; the target is 120
FUNCTION_MAX = 60  # lines
CODE_FOLDERS = ("src", "tests", "bench", "tools", "examples")
TEXTS = {".py", ".md", ".toml", ".sql", ".json", ".yml", ".yaml", ".txt", ""}
OPEN_ENDS = re.compile(r"\b(TODO|FIXME|HACK)\b")
PLACES = re.compile(r"/work/|/home/[a-z]|/root/|/Users/|\bfarm\b|\bnexus\b|artifactory|devpi", re.IGNORECASE)
REGISTRIES = re.compile(r"https?://([^/\"'\s)]*(?:pypi|pythonhosted|registry|proxy\.golang)[^/\"'\s)]*)", re.IGNORECASE)
PUBLIC_REGISTRIES = {"pypi.org", "files.pythonhosted.org"}
WRITERS = {"print", "sys.stdout.write", "sys.stderr.write"}
PRINTERS = re.compile(r"cli/.*|testing/sandbox/(http_server|unionpay)\.py|adapters/pins/program\.py")
UNIT_IN_NAME = re.compile(r"_(S|MS|KIB|BYTES|DIGITS|ROWS|PAGES)$")
WITHOUT_UNIT = {"PORT_MAX", "SHARES_MIN"}  # a port is a number, shares are counted in shares


def files(*folders: str, suffix: str = ".py") -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob(f"*{suffix}") if "__pycache__" not in path.parts
    )


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


MODULES = files("src")
CODE = files(*CODE_FOLDERS)
TRACKED = sorted(
    path
    for path in [*ROOT.iterdir(), *(path for top in (*CODE_FOLDERS, "docs") for path in (ROOT / top).rglob("*"))]
    if path.is_file()
    and path.suffix in TEXTS
    and not path.name.startswith(".")
    and not any(part == "__pycache__" or part.startswith("tmp") for part in path.relative_to(ROOT).parts)
    and path not in {ROOT / "uv.lock", Path(__file__)}
)
"""All texts of the repository but the lock file, which has a rule of its own, and this one, which names the words."""

# Size


def too_long(text: str) -> bool:
    return len(text.splitlines()) > MODULE_MAX


def long_functions(text: str) -> list[str]:
    return [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_MAX
    ]


def test_no_module_is_longer_than_its_bound() -> None:
    assert [] == named([path for path in MODULES if too_long(path.read_text())])
    assert too_long("\n" * (MODULE_MAX + 1))


def test_the_median_module_is_short() -> None:
    sizes = [len(path.read_text().splitlines()) for path in MODULES if path.name != "__init__.py"]
    median = statistics.median(sizes)
    sys.stdout.write(f"median module: {median} lines of {len(sizes)} modules\n")
    assert median <= MEDIAN_MAX


def test_no_function_is_longer_than_its_bound() -> None:
    assert {} == {path.name: found for path in MODULES if (found := long_functions(path.read_text()))}
    assert ["planted"] == long_functions("async def planted():\n" + "    pass\n" * FUNCTION_MAX)


# Docstrings


def undocumented(text: str) -> bool:
    return not ast.get_docstring(ast.parse(text))


def more_than_a_docstring(text: str) -> bool:
    return undocumented(text) or len(ast.parse(text).body) > 1


def test_every_module_says_what_it_is() -> None:
    assert [] == named([path for path in CODE if undocumented(path.read_text())])
    assert undocumented("import this\n")


def test_a_package_init_holds_a_docstring_only() -> None:
    inits = [path for path in MODULES if path.name == "__init__.py"]
    assert [] == named([path for path in inits if more_than_a_docstring(path.read_text())])
    assert more_than_a_docstring('"""A package."""\nfrom tallystick import path\n')
    assert more_than_a_docstring("")


# Names


def twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def test_no_two_test_modules_have_one_name() -> None:
    """Pytest imports them by their names alone: the second one would stop the whole run."""
    assert [] == twice([path.name for path in files("tests") if path.name != "conftest.py"])
    assert ["planted.py"] == twice(["planted.py", "other.py", "planted.py"])


# Words


def prints(text: str) -> list[int]:
    """Return the lines that write to the standard streams."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func) in WRITERS]


def test_only_the_command_line_and_the_sandbox_processes_print() -> None:
    printing = [path for path in MODULES if prints(path.read_text())]
    assert [] == [path for path in printing if not PRINTERS.fullmatch(str(path.relative_to(SRC)))]
    assert [2, 3] == prints("import sys\nprint('planted')\nsys.stderr.write('planted')\n")


def test_nothing_is_left_for_later_in_a_comment() -> None:
    assert [] == named([path for path in TRACKED if OPEN_ENDS.search(path.read_text())])
    assert OPEN_ENDS.search("# TODO: planted")


def test_no_file_names_a_machine_or_a_private_registry() -> None:
    assert [] == named([path for path in TRACKED if PLACES.search(path.read_text())])
    assert PLACES.search("see /home/planted")


def foreign_registries(text: str) -> set[str]:
    return set(REGISTRIES.findall(text)) - PUBLIC_REGISTRIES


def test_the_lock_file_names_the_public_registry_only() -> None:
    assert set() == foreign_registries((ROOT / "uv.lock").read_text())
    assert {"registry.planted.example"} == foreign_registries('url = "https://registry.planted.example/simple"')


def test_no_other_file_names_a_registry_at_all() -> None:
    assert [] == named([path for path in TRACKED if REGISTRIES.search(path.read_text())])


# Bounds


def numbers(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each public module constant that is a number, and whether its line or the text below says what it is."""
    lines, body = text.splitlines(), ast.parse(text).body
    for place, node in enumerate(body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
            continue
        parts = list(ast.walk(node.value))
        literals = [part.value for part in parts if isinstance(part, ast.Constant)]
        if not literals or any(isinstance(part, ast.Call) for part in parts):
            continue
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in literals):
            described = isinstance(body[place + 1], ast.Expr) if place + 1 < len(body) else False
            yield node.target.id, "#" in lines[(node.end_lineno or 1) - 1] or described


def without_comment(text: str) -> list[str]:
    return [name for name, said in numbers(text) if not said]


def bounds_without_unit(text: str) -> list[str]:
    return [
        name
        for name in without_comment(text)
        if name.endswith(("_MAX", "_MIN")) and not UNIT_IN_NAME.search(name) and name not in WITHOUT_UNIT
    ]


def test_every_limit_says_its_unit() -> None:
    assert [] == without_comment(LIMITS.read_text())
    assert ["PLANTED"] == without_comment("A: Final = 5  # bytes\nPLANTED: Final = 5 * 60\n")


def test_every_bound_outside_of_limits_says_its_unit() -> None:
    assert {} == {path.name: found for path in MODULES if (found := bounds_without_unit(path.read_text()))}
    assert ["PLANTED_MAX"] == bounds_without_unit("PLANTED_MAX: Final = 5\nSHARES_MIN: Final = 2\n")


def unused(names: list[str], text: str) -> list[str]:
    return [name for name in names if not re.search(rf"\b{name}\b", text)]


def test_every_limit_is_used() -> None:
    names = [name for name, _ in numbers(LIMITS.read_text())]
    code = "\n".join(path.read_text() for path in MODULES if path != LIMITS)
    assert [] == unused(names, code)
    assert len(names) > 30
    assert ["PLANTED"] == unused(["PLANTED"], code)


# The error tree


def drawn(tree: str) -> dict[str, str]:
    """Read the drawn tree: each class with the one it hangs on; several on one line hang on the same."""
    above: dict[int, str] = {}
    found = {}
    for line in tree.splitlines():
        branch = re.match(r"    ((?:[│ ]   )*)[├└]── ([A-Z][A-Za-z]+(?: · [A-Z][A-Za-z]+)*)", line)
        if branch is None:
            continue
        depth = len(branch[1]) // 4 + 1
        for name in branch[2].split(" · "):
            found[name] = above.get(depth - 1, "TallystickError")
            above[depth] = name
    return found


def real_tree() -> dict[str, str]:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind is not errors.TallystickError]
    ours = [kind for kind in kinds if issubclass(kind, errors.TallystickError)]
    return {kind.__name__: kind.__bases__[0].__name__ for kind in ours}


def test_the_drawn_error_tree_is_the_real_one_in_names_and_in_branches() -> None:
    assert real_tree() == drawn(errors.__doc__ or "")
    planted = "    ├── One\n    │   └── Two · Three\n    └── Four\n        └── Five\n"
    assert {"One": "TallystickError", "Two": "One", "Three": "One", "Four": "TallystickError", "Five": "Four"} == drawn(
        planted
    )


# Import

WATCH = '''
import importlib, os, pkgutil, sys, threading
PACKAGE = sys.argv[1]
OWN = importlib.util.find_spec(PACKAGE).submodule_search_locations[0] + os.sep
ALWAYS = {"socket.bind", "socket.connect", "subprocess.Popen", "os.mkdir", "os.remove", "os.system", "sqlite3.connect"}
acts = []

def by(name):
    frame = sys._getframe(2)
    while frame is not None and f"{os.sep}{name}{os.sep}" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None

def ours():
    """Tell whether a module of the package acts, rather than the import system reading it."""
    frame = sys._getframe(2)
    while frame is not None and "importlib" not in frame.f_code.co_filename:
        if frame.f_code.co_filename.startswith(OWN):
            return True
        frame = frame.f_back
    return False

def hook(event, arguments):
    if event == "socket.bind" and by("urllib3"):
        return  # it tries whether this machine has IPv6; only the optional ACME client brings it in
    if event in ALWAYS or (event == "open" and ours()):
        acts.append(event)

before = threading.active_count()
sys.addaudithook(hook)
package = importlib.import_module(PACKAGE)
count = 0
for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}."):
    importlib.import_module(module.name)
    count += 1
if threading.active_count() != before:
    acts.append("thread")
print(count, *acts)
'''


def acts_at_import(package: str, place: Path) -> tuple[int, list[str]]:
    """Import every module of a package in a process of its own; return how many, and what they did beside."""
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-B", "-c", WATCH, package], cwd=place, capture_output=True, text=True, check=True, timeout=60
    )
    count, *acts = done.stdout.split()
    return int(count), acts


def test_nothing_runs_at_import() -> None:
    count, acts = acts_at_import("tallystick", ROOT / "src")
    assert [] == acts
    assert len(MODULES) - 1 == count


@pytest.mark.parametrize(
    ("code", "act"),
    [
        ("open(__file__).close()", "open"),
        ("import pathlib; pathlib.Path(__file__).read_text()", "open"),
        ("import socket; socket.create_server(('127.0.0.1', 0)).close()", "socket.bind"),
        ("import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()", "thread"),
    ],
)
def test_the_watch_sees_what_runs_at_import(code: str, act: str, tmp_path: Path) -> None:
    package = tmp_path / "planted"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "acting.py").write_text(code)
    assert (1, [act]) == acts_at_import("planted", tmp_path)
