"""Public fakes of what carries notices: a real SMTP server on this machine, and a carrier that only records."""

import asyncio
import ssl
import warnings
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Final, NamedTuple, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tallystick.errors import FieldInvalid, Unavailable
from tallystick.runtime import Millis
from tallystick.vault.model import Medium, Notice
from tallystick.vault.ports import VaultBooks, VaultStore

LOOPBACK = "127.0.0.1"


class Mail(NamedTuple):
    """One mail as it arrived."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    protected: bool


class SmtpInbox:
    """Take mail on a loopback port, on the running event loop, and keep it in `mails`.

    With `tls` the connection is protected: by STARTTLS, or from the start when `implicit`. With `login` a sender proves
    user name and password first. `refuse` maps an address to the reply it gets instead, e.g. "550 no such mailbox".
    Use it as `async with SmtpInbox() as inbox`.
    """

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: tuple[str, str] | None = None
    ) -> None:
        self.mails: list[Mail] = []
        self.refuse: dict[str, str] = {}
        self.port = 0
        self._tls = tls
        self._implicit = implicit
        self._login = login
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connection, LOOPBACK, 0, ssl=self._tls if self._implicit else None
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _connection(self) -> SMTP:
        starttls = self._tls is not None and not self._implicit
        with warnings.catch_warnings():
            # The library warns of a login without STARTTLS, also when the whole connection is TLS already.
            warnings.simplefilter("ignore", UserWarning)
            return SMTP(
                self,
                hostname="localhost",
                loop=asyncio.get_running_loop(),
                tls_context=self._tls if starttls else None,
                require_starttls=starttls,
                auth_required=self._login is not None,
                auth_require_tls=starttls,
                authenticator=self._authenticate,
            )

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: object
    ) -> AuthResult:
        expected = self._login
        known = (
            expected is not None
            and isinstance(given, LoginPassword)
            and (given.login.decode(), given.password.decode()) == expected
        )
        return AuthResult(success=known, handled=False)

    async def handle_RCPT(  # noqa: N802  # the name is the library's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take a recipient, or answer as `refuse` says."""
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # as above
        """Keep a mail."""
        content = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        protected = self._implicit or session.ssl is not None
        self.mails.append(Mail(str(envelope.mail_from), list(envelope.rcpt_tos), content, protected))
        return "250 OK"


FAR: Final = Millis(2**52)  # ms since 1970; later than any notice is due
WAITING_MAX: Final = 10_000  # notices one look returns for a medium


async def waiting_notices(store: VaultStore) -> list[Notice]:
    """List the notices that wait, due or not, first those that are due first."""

    async def work(book: VaultBooks) -> list[Notice]:
        found = [await book.due_notices(medium, FAR, WAITING_MAX) for medium in Medium]
        return sorted((notice for each in found for notice in each), key=lambda notice: notice.due_at)

    return await store.transact(work)


class Sent(NamedTuple):
    """One message given to a `RecordingCarrier`."""

    reference: str
    address: str
    subject: str
    text: str


class RecordingCarrier:
    """Keep what is sent (`vault.ports.Carrier`); the next `failures` tries fail, and addresses in `gone` never work."""

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[Sent] = []
        self.failures = failures
        self.gone: set[str] = set()

    async def send(self, reference: str, address: str, subject: str, text: str) -> None:
        """Record one message, or fail as told."""
        if self.failures > 0:
            self.failures -= 1
            raise Unavailable("the carrier was told to fail")
        if address in self.gone:
            raise FieldInvalid("the carrier was told that this address does not exist", field="address")
        self.sent.append(Sent(reference, address, subject, text))
