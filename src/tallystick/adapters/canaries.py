"""Look for secrets in bytes, in every form in which software writes them by accident."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

SHORTEST_FORM: Final = 4  # bytes; a shorter one is found in random data too


class Scanner:
    """Find secrets, each given by a name that a report may show."""

    def __init__(self, secrets: Mapping[str, str], raw: Mapping[str, bytes] | None = None) -> None:
        found = {name: forms(secret) for name, secret in secrets.items()}
        self.forms = {
            f"{name} ({form})": data
            for name, known in (found | {name: coded(data) for name, data in (raw or {}).items()}).items()
            for form, data in known.items()
            if len(data) >= SHORTEST_FORM
        }

    def scan(self, data: bytes) -> list[str]:
        """Name what is in the data, with its form."""
        return [name for name, form in self.forms.items() if form in data]

    def scan_files(self, files: Iterable[Path]) -> list[str]:
        """Name what is in files, with the file and the form."""
        return [f"{path}: {name}" for path in files for name in self.scan(path.read_bytes())]


def forms(secret: str) -> dict[str, bytes]:
    """Return a secret as text of one and two bytes a character, and as digits packed two to a byte."""
    plain = secret.encode()
    known = coded(plain) | {"utf-16-le": secret.encode("utf-16-le"), "utf-16-be": secret.encode("utf-16-be")}
    if secret.isdigit():
        for align, digits in (("left", secret[: len(secret) // 2 * 2]), ("right", "0" * (len(secret) % 2) + secret)):
            known |= {f"bcd {align} {form}": data for form, data in coded(bytes.fromhex(digits)).items()}
    return known


def coded(data: bytes) -> dict[str, bytes]:
    """Return bytes as they are, in hex and in base64 at each of the three places where they may begin."""
    text = data.hex()
    known = {"plain": data, "hex": text.encode(), "HEX": text.upper().encode()}
    for offset in range(3):
        whole = slice(-(-offset * 8 // 6), (offset + len(data)) * 8 // 6)
        padded = bytes(offset) + data
        known[f"base64 at {offset}"] = b64encode(padded)[whole]
        known[f"base64url at {offset}"] = urlsafe_b64encode(padded)[whole]
    return known
