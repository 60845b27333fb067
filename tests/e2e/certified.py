"""An authority and the certificates of one test run."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tallystick.adapters.ca_files import FileCa
from tallystick.crypto.ca import BACK_END, DAY_MS, PLATFORM, Profile
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.runtime import Millis

PLATFORM_URI = "tallystick:platform:main"


@dataclass
class Certified:
    """Certificates by name: `platform`, and one for each back end, with SAN URI tallystick:institution:<name>."""

    ca: FileCa
    directory: Path
    made: dict[str, tuple[Path, Path]] = field(default_factory=dict)

    @classmethod
    def create(cls, directory: Path, *back_ends: str) -> Self:
        """Make an authority in a folder, and certify the platform and back ends."""
        made = cls(FileCa.create(directory / "ca", name="test", now=_now()), directory)
        made.certify("platform", PLATFORM, PLATFORM_URI)
        for name in back_ends:
            made.certify(name, BACK_END, f"tallystick:institution:{name}", ("localhost",))
        return made

    def certify(self, name: str, profile: Profile, uri: str, dns: tuple[str, ...] = ()) -> None:
        """Issue a certificate; chain and key become files that only the owner reads."""
        key = new_private_key()
        csr = make_csr(key, uri=uri, common_name=name)
        chain = self.ca.issue(csr, profile, uri=uri, dns=dns, now=_now(), life=DAY_MS)
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        for path, content in zip(files, (chain, key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        self.made[name] = files


def _now() -> Millis:
    return Millis(time.time_ns() // 1_000_000)
