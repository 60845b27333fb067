"""What the embedded authority tells anybody about its certificates: OCSP answers and the revocation list."""

from typing import Final

from tallystick.adapters.ca_files import FileCa
from tallystick.crypto.ca import DAY_MS, revocation_list_der
from tallystick.crypto.ocsp import Responder, Standing
from tallystick.crypto.x509 import new_private_key
from tallystick.errors import Misconfigured
from tallystick.runtime import Millis

RESPONDER_LIFE_MS: Final = DAY_MS  # ms; nobody can revoke it (id-pkix-ocsp-nocheck)
RENEW_EVERY_MS: Final = RESPONDER_LIFE_MS // 2  # ms until the responder gets a new key and certificate
INDEX_LOOK_MS: Final = 1_000  # ms between two looks at the index: a revocation is told after this at the latest


class CaStatus:
    """Tell the standing of a directory's certificates; the responder's key lives in this process only."""

    def __init__(self, ca: FileCa) -> None:
        self._ca = ca
        self._responder: Responder | None = None
        self._made_at = Millis(0)
        self._standing: dict[str, Standing] = {}
        self._next_look = Millis(0)

    def ocsp(self, request_der: bytes, now: Millis) -> bytes:
        """Answer one OCSP request (`Responder.answer`); Misconfigured when the authority's files cannot be read."""
        if self._responder is None or not self._made_at <= now < self._made_at + RENEW_EVERY_MS:
            key = new_private_key()
            certificate = self._ca.certify_responder(key, now=now, life=RESPONDER_LIFE_MS)
            self._responder = Responder(self._ca.issuer.read_bytes(), certificate, key)
            self._made_at = now
        if not self._next_look - INDEX_LOOK_MS <= now < self._next_look:
            self._standing = {each.serial: each.revoked or "good" for each in self._ca.issued()}
            self._next_look = Millis(now + INDEX_LOOK_MS)
        return self._responder.answer(request_der, lambda serial: self._standing.get(serial, "unknown"), now)

    def crl(self) -> bytes:
        """Return the newest revocation list in DER; Misconfigured when it cannot be read."""
        try:
            return revocation_list_der(self._ca.crl.read_bytes())
        except OSError as missing:
            raise Misconfigured("the revocation list cannot be read") from missing
