"""npm packages for tests that speak with code nobody here wrote."""

import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_TIMEOUT_S = 180


def npm_install(folder: Path, *packages: str) -> Path:
    """Install packages into a folder and return its node_modules; skips, saying so, without Node or the registry."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed: nothing foreign to speak with")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *packages]
    done = subprocess.run(command, capture_output=True, timeout=INSTALL_TIMEOUT_S, check=False)  # noqa: S603  # fixed words
    if done.returncode != 0:
        pytest.skip(f"npm cannot install {' '.join(packages)}: the registry is not reachable")
    return folder / "node_modules"
