"""Keep a client's certificate new: renewed in the last third of its life, without a dropped connection."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from tallystick.channels.own import in_last_part
from tallystick.crypto.x509 import belongs, read_certificate
from tallystick.errors import TallystickError
from tallystick.runtime import Clock, SystemClock
from tallystick.sdk.client import TallystickClient, http_client
from tallystick.sdk.enrol import new_request
from tallystick.sdk.errors import AnswerUnreadable
from tallystick.sdk.settings import Profile

LOOK_S: Final = 60.0  # s between two looks; a certificate lives an hour at least
DRAIN_S: Final = 60.0  # s that requests over the connections before may take to end
PRIVATE: Final = 0o600
PUBLIC: Final = 0o644

_log = logging.getLogger(__name__)


class CertificateKeeper:
    """Renew the certificate of a client made by `TallystickClient.connect(profile)`; run it beside the client's work.

    The new key and chain replace the profile's files. New connections use them at once; those before end by themselves.
    """

    def __init__(self, client: TallystickClient, profile: Profile, clock: Clock | None = None) -> None:
        self._client = client
        self._profile = profile
        self._clock = clock or SystemClock()

    async def run(self) -> None:
        """Look once a minute; a renewal that fails is logged and tried again. Never ends by itself: cancel its task."""
        while True:
            try:
                await self.renew_when_due()
            except (TallystickError, OSError) as error:
                _log.warning("the certificate was not renewed: %s", getattr(error, "code", type(error).__name__))
            await self._clock.sleep(LOOK_S)

    async def renew_when_due(self) -> bool:
        """Renew in the last third of the certificate's life; True when it did.

        1. The answer's certificate is for the key just made and the same identity: AnswerUnreadable otherwise.
        2. Key and chain are on disk, each file whole, before anything uses them.
        3. The client goes on over new connections; those before are closed once their requests had DRAIN_S to end.

        Raises the errors of `renew_certificate`: the certificate in use stays.
        """
        profile = self._profile
        held = read_certificate(profile.certificate.read_bytes())
        if not in_last_part(held.not_before, held.not_after, self._clock.now()):
            return False
        made = new_request()
        renewed = await self._client.renew_certificate(made.csr)
        # 1.
        chain = renewed.chain.encode()
        if not belongs(chain, made.private_key) or read_certificate(chain).uri != held.uri:
            raise AnswerUnreadable("the renewed certificate is not for our key and identity")
        # 2.
        files = ((profile.private_key, made.private_key, PRIVATE), (profile.certificate, chain, PUBLIC))
        for beside, path in [(_beside(path, data, mode), path) for path, data, mode in files]:
            beside.replace(path)
        # 3.
        before = self._client.use(http_client(profile))
        try:
            await self._clock.sleep(DRAIN_S)
        finally:
            await asyncio.shield(before.aclose())
        return True


def _beside(path: Path, data: bytes, mode: int) -> Path:
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return beside
