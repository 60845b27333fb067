"""Renewal: a party whose certificate ends soon gets the next one with it (patent claim 33)."""

from typing import Final

import msgspec
from starlette.requests import Request

from tallystick.audit.model import Action
from tallystick.channels.own import in_last_part
from tallystick.channels.ports import Issuer
from tallystick.crypto.binding import bind
from tallystick.crypto.ca import profile_of
from tallystick.crypto.x509 import PeerCertificate, read_certificate
from tallystick.delivery.books import Books
from tallystick.errors import CertificateWrongPurpose, Conflict, Malformed, TooMany, WrongMediaType
from tallystick.path import Platform
from tallystick.runtime import Millis
from tallystick.security.idempotency import answer_once
from tallystick.security.verify import verify
from tallystick.service.handling import Caller, Handlers, Reply
from tallystick.wire.enrolment import CERTIFICATES, Renewal, Renewed

VALID_MAX: Final = 4  # certificates of one identity that are valid at a time; with so many none renews itself
JSON: Final = "application/json"


class Renewals:
    """Renew the certificates of channels and institutions; the old one stays valid until its end."""

    def __init__(self, platform: Platform, issuer: Issuer) -> None:
        self._platform = platform
        self._issuer = issuer

    def handlers(self) -> Handlers:
        """Return the handlers by path and method."""
        return {CERTIFICATES: {"POST": self._renew}}

    async def _renew(self, _: Request, caller: Caller) -> Reply:
        """Issue the next certificate to the holder of one.

        1. The request is signed by the sender's registered key: a stolen certificate alone renews nothing.
        2. It is of the documented form: WrongMediaType, Malformed.
        3. The certificate of this very connection is in the last third of its life, and the identity has fewer than
           VALID_MAX valid ones: Conflict, TooMany.
        4. Identity and hosts are those of that certificate; of the request only the public key is used, once it is
           strong and has signed the request: Malformed, SignatureInvalid, FieldInvalid.
        5. Once for an Idempotency-Key; a repeat is given the same chain.
        """
        # 1.
        arrival = caller.arrival
        verified = verify(arrival, caller.sender, caller.key)
        # 2.
        if arrival.headers.get("content-type") != JSON:
            raise WrongMediaType(f"this address takes {JSON}")
        renewal = _decode(arrival.body)

        # 3. and 4.
        async def work(books: Books) -> bytes:
            async def act() -> bytes:
                await books.append(Action.CERTIFICATE_ISSUED, caller.peer.uri or "")
                return self._issue(caller.peer, renewal.csr.encode(), arrival.at)

            return await answer_once(books, self._platform.epochs, verified, content, arrival.at, act)

        # 5.
        content = bind(arrival.target) + arrival.body
        return Reply(200, await self._platform.store.transact(work))

    def _issue(self, peer: PeerCertificate, csr: bytes, now: Millis) -> bytes:
        if peer.uri is None:
            raise CertificateWrongPurpose("the client certificate names nobody")
        if peer.anchor is not None:
            raise Conflict("this certificate is of an outside authority: renew it there")
        if not in_last_part(peer.not_before, peer.not_after, now):
            raise Conflict("a certificate renews itself in the last third of its life only")
        if self._issuer.valid(peer.uri, now) >= VALID_MAX:
            raise TooMany(f"this identity has {VALID_MAX} valid certificates")
        profile = profile_of(peer.uri)
        hosts = peer.hosts if profile.server else ()
        chain = self._issuer.issue(csr, profile, uri=peer.uri, dns=hosts, now=now)
        leaf = read_certificate(chain)
        return msgspec.json.encode(Renewed(chain=chain.decode(), serial=leaf.serial, not_after=leaf.not_after))


def _decode(body: bytes) -> Renewal:
    try:
        return msgspec.json.decode(body, type=Renewal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # the reason may quote a value: it is dropped here, not chained
    raise Malformed("the body is not {csr}")
