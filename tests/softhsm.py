"""A token of SoftHSM2, the PKCS#11 module in software that tests have instead of a hardware one."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pkcs11
import pytest

from tallystick.adapters.keys.pkcs11 import TokenSettings
from tallystick.secret import Secret

LABEL, PIN, OFFICER_PIN = "tallystick-test", "73529461", "93716042"
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True)
class SoftToken:
    """One initialised token, and the environment in which its library finds it."""

    module: str
    environment: Mapping[str, str]

    def settings(self, pin: str = PIN, label: str = LABEL) -> TokenSettings:
        return TokenSettings(module=self.module, label=label, pin=Secret(pin))

    def log_out(self) -> None:
        """End all sessions of this process, whoever began them, as the loss of the device does."""
        pkcs11.lib(self.module).reinitialize()


def make_token(home: Path) -> SoftToken:
    """Make a token in a directory; skips, saying so, where SoftHSM2 is not installed."""
    module = next((path for path in LIBRARIES if Path(path).exists()), None)
    tool = shutil.which("softhsm2-util")
    if module is None or tool is None:
        pytest.skip("SoftHSM2 is not installed (apt-get install softhsm2): no token to test with")
    (home / "tokens").mkdir(parents=True)
    settings = home / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {home / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(settings)}
    command = [tool, "--init-token", "--free", "--label", LABEL, "--so-pin", OFFICER_PIN, "--pin", PIN]
    subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)  # noqa: S603  # fixed words
    return SoftToken(module, environment)
