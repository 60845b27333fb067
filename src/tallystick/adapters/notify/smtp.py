"""Carry notices by e-mail: one SMTP submission per notice (RFC 6409), over TLS."""

import email.utils
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum
from typing import Final

import aiosmtplib

from tallystick.adapters.notify.transport import is_loopback, machine_trust
from tallystick.errors import FieldInvalid, Misconfigured, Unavailable
from tallystick.runtime import Clock
from tallystick.secret import Secret

TIMEOUT_S: Final = 20.0  # s for each step of the dialogue
PERMANENT: Final = 500  # reply codes from here on say that another try is useless (RFC 5321 section 4.2.1)


class SmtpSecurity(StrEnum):
    """How the connection is protected; NONE is for a relay on the same machine only."""

    TLS = "tls"
    STARTTLS = "starttls"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """Which server takes our mail, and as whom; `sender` is an address such as `numbers@bank.example`.

    Raises:
        Misconfigured: a password or a notice would cross a network unprotected, or the sender is no address.
    """

    host: str
    port: int
    sender: str
    security: SmtpSecurity = SmtpSecurity.STARTTLS
    username: str | None = None
    password: Secret | None = None

    def __post_init__(self) -> None:
        """Refuse settings under which a notice would be readable on its way."""
        if self.security is SmtpSecurity.NONE and not is_loopback(self.host):
            raise Misconfigured(
                "mail without TLS goes to a server on this machine only; set security to starttls or tls"
            )
        if (self.username is None) != (self.password is None):
            raise Misconfigured("a mail server's user name and password are given together")
        if not self.domain:
            raise Misconfigured("the sender of mail is not an address")

    @property
    def domain(self) -> str:
        """Return what stands after the @ of the sender."""
        return self.sender.rpartition("@")[2] if "@" in self.sender else ""


class SmtpCarrier:
    """Send notices as plain-text mail (`vault.ports.Carrier`).

    The server must present a certificate that `trust` accepts (by default the machine's authorities) for `host`. With
    STARTTLS nothing is sent before the connection is protected, also when an attacker hides that the server offers it.
    The notice's reference is the Message-ID, so that a second copy is recognised.
    """

    def __init__(self, settings: SmtpSettings, clock: Clock, trust: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._trust = trust or machine_trust()

    async def send(self, reference: str, address: str, subject: str, text: str) -> None:
        """Hand one mail over; raises Unavailable or, when the server knows no such address, FieldInvalid.

        Errors name the server's reply code only: replies quote the address.
        """
        settings = self._settings
        secret = settings.password
        tls = None if settings.security is SmtpSecurity.NONE else self._trust
        try:
            await aiosmtplib.send(
                self._mail(reference, address, subject, text),
                sender=settings.sender,
                recipients=[address],
                hostname=settings.host,
                port=settings.port,
                username=settings.username,
                password=secret.reveal() if secret is not None else None,
                local_hostname=settings.domain,
                timeout=TIMEOUT_S,
                use_tls=settings.security is SmtpSecurity.TLS,
                start_tls=settings.security is SmtpSecurity.STARTTLS,
                tls_context=tls,
            )
        except aiosmtplib.SMTPRecipientsRefused as refused:
            code = max(one.code for one in refused.recipients)
            if code >= PERMANENT:
                raise FieldInvalid(f"the mail server takes nothing for this address ({code})", field="email") from None
            raise Unavailable(f"the mail server takes nothing for this address now ({code})") from None
        except aiosmtplib.SMTPResponseException as refused:
            raise Unavailable(f"the mail server did not take the mail ({refused.code})") from None
        except (aiosmtplib.SMTPException, OSError) as failed:
            raise Unavailable(f"the mail server did not take the mail ({type(failed).__name__})") from None

    def _mail(self, reference: str, address: str, subject: str, text: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"] = self._settings.sender
        mail["To"] = address
        mail["Subject"] = subject
        mail["Date"] = email.utils.formatdate(self._clock.now() / 1000)
        mail["Message-ID"] = f"<{reference}@{self._settings.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic reply
        mail.set_content(text)
        return mail
