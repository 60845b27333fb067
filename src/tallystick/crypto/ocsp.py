"""Answer whether certificates are revoked (OCSP, RFC 6960): pure functions over bytes and a given time."""

from collections.abc import Callable
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from tallystick.crypto.ca import BACKDATE_MS
from tallystick.crypto.x509 import digest_for, load_certificate, load_signing_key, to_datetime
from tallystick.runtime import Millis

REQUEST_MAX: Final = 2 * 1024  # bytes; one of a single certificate with a nonce is about 120
NONCE_OCTETS_MAX: Final = 128  # bytes, RFC 9654 section 2.1
ANSWER_LIFE_MS: Final = 10 * 60_000  # ms until an answer without a fresh nonce counts no more
UNREADABLE: Final = (ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm, x509.DuplicateExtension)

Standing = Millis | Literal["good", "unknown"]
"""What is known of a certificate: when it was revoked, or that it is good, or that it was never issued here."""


class Responder:
    """Answer for one authority by a delegated responder's certificate and key, which that authority issued."""

    def __init__(self, issuer_pem: bytes, certificate_pem: bytes, key_pem: bytes) -> None:
        self._issuer = load_certificate(issuer_pem)
        self._certificate = load_certificate(certificate_pem)
        self._key = load_signing_key(key_pem)

    def answer(self, request_der: bytes, standing: Callable[[str], Standing], now: Millis) -> bytes:
        """Answer one request; `standing` is asked for a serial in lower-case hexadecimal. Never raises for a request.

        1. The request is of bounded size and readable, for one certificate, with a nonce within its bound: else the
           unsigned answer malformedRequest. Nobody is asked for who they are: what is answered is public.
        2. It asks about this authority (its name and key, digested as the request says): else unauthorized, for this
           responder has no word about others (RFC 6960 section 2.3).
        3. What is not known to be good is never called good: a serial never issued is unknown.
        4. The answer is signed, bound to the request's nonce if it has one, and short-lived.
        """
        # 1.
        try:
            if len(request_der) > REQUEST_MAX:
                return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
            request = ocsp.load_der_ocsp_request(request_der)
            nonce = _nonce(request)
            ours = self._is_about_us(request)
        except UNREADABLE:
            return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        # 2.
        if not ours:
            return _refusal(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        # 3.
        known = standing(f"{request.serial_number:x}")
        # 4.
        answer = self._about(request, known, now)
        if nonce is not None:
            answer = answer.add_extension(x509.OCSPNonce(nonce), critical=False)
        return answer.sign(self._key, digest_for(self._key)).public_bytes(serialization.Encoding.DER)

    def _about(self, request: ocsp.OCSPRequest, known: Standing, now: Millis) -> ocsp.OCSPResponseBuilder:
        states = {"good": ocsp.OCSPCertStatus.GOOD, "unknown": ocsp.OCSPCertStatus.UNKNOWN}
        revoked = None if isinstance(known, str) else to_datetime(known)
        answer = ocsp.OCSPResponseBuilder().add_response_by_hash(
            request.issuer_name_hash,
            request.issuer_key_hash,
            request.serial_number,
            request.hash_algorithm,
            states[known] if isinstance(known, str) else ocsp.OCSPCertStatus.REVOKED,
            to_datetime(Millis(now - BACKDATE_MS)),
            to_datetime(Millis(now + ANSWER_LIFE_MS)),
            revoked,
            None,
        )
        answer = answer.responder_id(ocsp.OCSPResponderEncoding.HASH, self._certificate)
        return answer.certificates([self._certificate])

    def _is_about_us(self, request: ocsp.OCSPRequest) -> bool:
        algorithm: hashes.HashAlgorithm = request.hash_algorithm
        # The library takes the name from what was issued: the responder's own certificate, never the issuer's.
        own = ocsp.OCSPRequestBuilder().add_certificate(self._certificate, self._issuer, algorithm).build()
        asked = request.issuer_name_hash, request.issuer_key_hash
        return (own.issuer_name_hash, own.issuer_key_hash) == asked


def _nonce(request: ocsp.OCSPRequest) -> bytes | None:
    """Return the request's nonce; ValueError when its length is out of bounds (RFC 9654 section 2.1)."""
    try:
        nonce = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None
    if not 1 <= len(nonce) <= NONCE_OCTETS_MAX:
        raise ValueError
    return nonce


def _refusal(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(serialization.Encoding.DER)
