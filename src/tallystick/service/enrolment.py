"""The enrolment listener: where invited parties without a certificate ask for one (patent claim 33)."""

from typing import Final

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.routing import Route, Router

from tallystick.audit.acting import acting
from tallystick.channels import enrol
from tallystick.channels.model import Enrolment, EnrolmentState, LimitKind
from tallystick.channels.ports import Counter, EnrolmentBook, Issuer
from tallystick.crypto.ca import CSR_MAX
from tallystick.delivery.books import Store
from tallystick.errors import Malformed, TokenRefused, WrongMediaType
from tallystick.runtime import Clock, Randomness
from tallystick.security.ports import Keyring, Purpose
from tallystick.security.unseal import content_decoder
from tallystick.service.handling import Endpoint, Response, network_of, read_body
from tallystick.service.problems import MEDIA_TYPE, failure, retry_after
from tallystick.wire.enrolment import ENROLMENTS, EnrolmentStatus, NewEnrolment

ENROLMENT_BODY_MAX: Final = CSR_MAX + 1024  # bytes
JSON: Final = "application/json"
INVITED: Final = "invited"
"""Who asks here, in the audit chain: a party without a certificate yet, known by its token at most."""

STATUS: Final = {EnrolmentState.PENDING: 202, EnrolmentState.ISSUED: 200, EnrolmentState.REJECTED: 200}


class EnrolmentDesk(Struct, kw_only=True):
    """Take requests of invited parties; `issuer` is there when a valid token is enough approval."""

    store: Store[EnrolmentBook]
    keyring: Keyring
    counter: Counter
    clock: Clock
    randomness: Randomness
    issuer: Issuer | None = None

    def app(self) -> Router:
        """Return the ASGI application."""

        async def respond(request: Request) -> Response:
            try:
                self.counter.count(LimitKind.ENROLMENT, network_of(request))
                found = await self._take(request)
            except Exception as error:  # noqa: BLE001 - the edge answers every failure, and says nothing about the unforeseen
                document = failure(error, self.randomness)
                body = msgspec.json.encode(document)
                return Response.of(document.status, MEDIA_TYPE, body, retry_after(error))
            return Response.of(STATUS[found.state], JSON, msgspec.json.encode(_told(found)))

        return Router([Route(ENROLMENTS, Endpoint(respond), methods=["POST"])])

    async def _take(self, request: Request) -> Enrolment:
        """Take one request, or the repetition of one.

        1. It is of bounded size and of the documented form: TooLarge, WrongMediaType, Malformed.
        2. Its token opens an invitation: TokenRefused, whatever is wrong with it; a wrong one stays counted.
        3. The request is the invitation's one and only (`enrol.submit`), in the transaction that looked at the token.
        """
        # 1.
        if request.headers.get("content-type") != JSON:
            raise WrongMediaType(f"this address takes {JSON}")
        asked = _decode(await read_body(request, ENROLMENT_BODY_MAX))
        keys, now = self.keyring.readable(Purpose.BLIND_INDEX), self.clock.now()

        async def take(books: EnrolmentBook) -> Enrolment | None:
            found = await enrol.present(books, keys, asked.token, now)
            if found is None:
                return None
            return await enrol.submit(books, found, asked.csr.encode(), now, issuer=self.issuer)

        # 2. and 3.
        with acting(INVITED):
            taken = await self.store.transact(take)
        if taken is None:
            raise TokenRefused("this token opens no request")
        return taken


def _told(found: Enrolment) -> EnrolmentStatus:
    chain = found.chain.decode() if found.chain else None
    return EnrolmentStatus(request=found.id, state=found.state.value, uri=found.uri, chain=chain)


def _decode(body: bytes) -> NewEnrolment:
    try:
        return content_decoder(NewEnrolment).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # the reason may quote the token: it is dropped here, not chained
    raise Malformed("the body is not {token, csr}")
