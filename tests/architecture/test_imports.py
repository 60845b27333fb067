"""Who may import whom: the layer contracts of pyproject.toml, and the one importer of each library."""

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tallystick"
LINTER = Path(sys.executable).with_name("lint-imports")
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

IMPORTERS = {
    "cryptography": ("crypto/",),
    "joserfc": ("crypto/jose.py", "crypto/mle.py"),
    "sqlite3": ("adapters/store/",),
    "iso8583": (),  # the tests compare with it
    "phonenumbers": ("assembly/element.py",),
    "httpx2": (
        "adapters/",
        "sdk/client.py",
        "sdk/enrol.py",
        "sdk/merchant.py",
        "sdk/forward.py",
        "cli/demo/world.py",
        "cli/enrol.py",
    ),
    "starlette": (
        "service/",
        "testing/sandbox/account.py",
        "testing/sandbox/http_failures.py",
        "testing/sandbox/http_server.py",
        "testing/sandbox/rest.py",
        "testing/sandbox/visa.py",
    ),
    "uvicorn": ("service/server.py", "testing/sandbox/http_server.py"),
    "uvloop": ("cli/serve.py", "cli/worker.py", "testing/sandbox/unionpay.py"),
    "httptools": (),  # uvicorn's
    "aiosmtplib": ("adapters/notify/smtp.py",),
    "aiosmtpd": ("testing/inbox.py",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "threading": (),
    "concurrent": ("adapters/notify/webhooks.py",),
    "Crypto": ("crypto/key_shares.py",),
    "acme": ("adapters/acme.py",),
    "josepy": ("adapters/acme.py",),
    "pkcs11": ("adapters/keys/pkcs11.py",),
    "pickle": (),
    "random": ("testing/clock.py", "testing/simulation/faults.py", "testing/simulation/loop.py"),  # seeded ones
}
"""Library to the places below src/tallystick that may import it; msgspec is everywhere."""


def imported(text: str) -> set[str]:
    """Return the top-level names of all libraries that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


def strangers(place: str, text: str) -> set[str]:
    """Return the libraries that a module imports although others have them to themselves."""
    return {
        library
        for library in imported(text) & IMPORTERS.keys()
        if not any(place == own or (own.endswith("/") and place.startswith(own)) for own in IMPORTERS[library])
    }


def lint(place: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own linter
        [LINTER, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_layer_contract_holds() -> None:
    done = lint(ROOT / "src")
    assert 0 == done.returncode, done.stdout
    assert f"Contracts: {len(SETTINGS['contracts'])} kept, 0 broken." in done.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("channels/admit.py", "from tallystick.security import verify"),
        ("routing/decide.py", "from tallystick import secret"),
        ("delivery/deliver.py", "import cryptography"),
        ("vault/keep.py", "import sqlite3"),
        ("assembly/join.py", "import httpx2"),
    ],
)
def test_a_planted_import_breaks_a_contract(module: str, line: str, tmp_path: Path) -> None:
    shutil.copytree(SRC, tmp_path / "tallystick", ignore=shutil.ignore_patterns("__pycache__"))
    spoilt = tmp_path / "tallystick" / module
    spoilt.write_text(f"{spoilt.read_text()}\n{line}\n")
    done = lint(tmp_path)
    assert 1 == done.returncode
    assert "BROKEN" in done.stdout


def test_every_module_below_the_root_has_its_layer() -> None:
    layers = next(contract["layers"] for contract in SETTINGS["contracts"] if contract["type"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split("|")}
    present = {
        f"tallystick.{path.stem}" for path in SRC.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert present - {"tallystick.__init__"} == named


def test_each_library_is_imported_in_its_own_places_only() -> None:
    modules = {str(path.relative_to(SRC)): path.read_text() for path in SRC.rglob("*.py")}
    found = {place: strange for place, text in modules.items() if (strange := strangers(place, text))}
    assert {} == found
    assert {"sqlite3", "random"} == strangers(
        "path.py", "import sqlite3\ndef planted():\n    from random import choice\n"
    )


def test_every_library_with_places_of_its_own_is_imported_in_each_of_them() -> None:
    for library, places in IMPORTERS.items():
        for place in places:
            below = [SRC / place] if place.endswith(".py") else sorted((SRC / place).rglob("*.py"))
            assert any(library in imported(path.read_text()) for path in below), f"{place} no longer imports {library}"


PIN_BOUNDARY = {
    "tallystick.crypto.pin_fields": (),
    "tallystick.crypto.pin_translate": ("adapters/pins/box.py", "testing/sandbox/rest_rules.py"),
    "tallystick.adapters.pins.box": ("adapters/pins/program.py", "testing/pins.py"),
}
"""What has a clear PIN in its hands, and who beside `crypto` may import it: the PIN process, who plays an issuer."""


def reaches_for_pins(place: str, text: str) -> set[str]:
    """Return what a module outside `crypto` imports, or names, of what deciphers PINs."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            named = {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            named = {alias.name for alias in node.names}
        else:
            named = {"decipher"} if isinstance(node, ast.Attribute) and node.attr == "decipher" else set()
        found |= {name for name in named if name == "decipher" or name.endswith(".pin.decipher")}
        found |= {name for name in named & PIN_BOUNDARY.keys() if place not in PIN_BOUNDARY[name]}
    return found


def test_no_module_outside_the_boundary_deciphers_a_pin() -> None:
    modules = {str(path.relative_to(SRC)): path.read_text() for path in SRC.rglob("*.py")}
    outside = {place: text for place, text in modules.items() if not place.startswith("crypto/")}
    assert {} == {place: found for place, text in outside.items() if (found := reaches_for_pins(place, text))}
    for planted in (
        "from tallystick.crypto.pin import decipher",
        "from tallystick.crypto import pin\npin.decipher(b'', 1, b'')",
        "from tallystick.crypto import pin_translate",
        "from tallystick.crypto.pin_fields import read_pin",
        "import tallystick.adapters.pins.box",
    ):
        assert reaches_for_pins("adapters/connectors/iso8583.py", planted), planted
