"""Notices by e-mail, against a real SMTP server on this machine."""

import ssl
from pathlib import Path

import pytest

from tallystick.adapters.notify.smtp import SmtpCarrier, SmtpSecurity, SmtpSettings
from tallystick.crypto.ca import PLATFORM, Authority, new_root
from tallystick.crypto.tls import client_context, server_context
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.errors import FieldInvalid, Misconfigured, Unavailable
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Secret
from tallystick.testing.inbox import SmtpInbox

NOW = SystemClock().now()
LOGIN = ("numbers", "mail-password")


class FixedClock(SystemClock):
    def now(self) -> Millis:
        return Millis(1_767_268_800_000)


def settings(inbox: SmtpInbox, security: SmtpSecurity, login: tuple[str, str] | None = None) -> SmtpSettings:
    return SmtpSettings(
        host="127.0.0.1",
        port=inbox.port,
        sender="numbers@bank.example",
        security=security,
        username=login[0] if login else None,
        password=Secret(login[1]) if login else None,
    )


async def send(carrier: SmtpCarrier, address: str = "payer@example.org") -> None:
    await carrier.send("ntc_abc", address, "Your number", "Your number is 12345678.")


@pytest.fixture
def trust(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make the contexts of a mail server and of a client that trusts its authority."""
    root_pem, root_key = new_root("Test root", NOW)
    issuing_key = new_private_key()
    issuing_pem = Authority(root_pem, root_key).issue_authority("Test issuing", issuing_key, NOW)
    key = new_private_key()
    csr = make_csr(key, uri="tallystick:platform:mail", dns=["127.0.0.1"], common_name="mail")
    leaf = Authority(issuing_pem, issuing_key).issue(
        csr, PLATFORM, uri="tallystick:platform:mail", dns=["127.0.0.1"], now=NOW, life=3_600_000
    )
    (tmp_path / "ca.pem").write_bytes(root_pem)
    (tmp_path / "chain.pem").write_bytes(leaf + issuing_pem)
    (tmp_path / "key.pem").touch(mode=0o600)
    (tmp_path / "key.pem").write_bytes(key)
    server = server_context(tmp_path / "chain.pem", tmp_path / "key.pem", None)
    return server, client_context(tmp_path / "ca.pem")


async def test_a_mail_arrives_as_it_was_written_under_the_notices_reference() -> None:
    async with SmtpInbox() as inbox:
        await send(SmtpCarrier(settings(inbox, SmtpSecurity.NONE), FixedClock()))
    (mail,) = inbox.mails
    assert (mail.sender, mail.recipients) == ("numbers@bank.example", ["payer@example.org"])
    assert mail.message["Message-ID"] == "<ntc_abc@bank.example>"
    assert mail.message["Date"] == "Thu, 01 Jan 2026 12:00:00 -0000"
    assert mail.message["To"] == "payer@example.org"
    assert mail.message["Subject"] == "Your number"
    assert mail.message.get_content().strip() == "Your number is 12345678."


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_mail_and_login_travel_protected(
    security: SmtpSecurity, trust: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, client = trust
    async with SmtpInbox(tls=server, implicit=security is SmtpSecurity.TLS, login=LOGIN) as inbox:
        await send(SmtpCarrier(settings(inbox, security, LOGIN), FixedClock(), client))
    assert [mail.protected for mail in inbox.mails] == [True]


async def test_a_server_that_offers_no_tls_gets_no_mail() -> None:
    async with SmtpInbox() as inbox:
        with pytest.raises(Unavailable):
            await send(SmtpCarrier(settings(inbox, SmtpSecurity.STARTTLS), FixedClock()))
    assert inbox.mails == []


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_a_server_with_a_certificate_of_a_stranger_gets_no_mail(
    security: SmtpSecurity, trust: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with SmtpInbox(tls=trust[0], implicit=security is SmtpSecurity.TLS) as inbox:
        with pytest.raises(Unavailable):
            await send(SmtpCarrier(settings(inbox, security), FixedClock()))
    assert inbox.mails == []


async def test_a_refused_login_is_tried_again_later_and_names_no_password(
    trust: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    server, client = trust
    async with SmtpInbox(tls=server, login=LOGIN) as inbox:
        carrier = SmtpCarrier(
            settings(inbox, SmtpSecurity.STARTTLS, ("numbers", "wrong-password")), FixedClock(), client
        )
        with pytest.raises(Unavailable, match="535") as refused:
            await send(carrier)
    assert "wrong-password" not in repr(refused.value)


async def test_an_unknown_mailbox_is_given_up_and_a_full_one_tried_again() -> None:
    async with SmtpInbox() as inbox:
        inbox.refuse = {
            "gone@example.org": "550 no gone@example.org",
            "full@example.org": "452 full@example.org is full",
        }
        carrier = SmtpCarrier(settings(inbox, SmtpSecurity.NONE), FixedClock())
        with pytest.raises(FieldInvalid, match="550") as gone:
            await send(carrier, "gone@example.org")
        with pytest.raises(Unavailable, match="452") as full:
            await send(carrier, "full@example.org")
    assert "example.org" not in str(gone.value) + str(full.value)


async def test_an_unreachable_server_is_tried_again_later() -> None:
    async with SmtpInbox() as inbox:
        pass
    with pytest.raises(Unavailable):
        await send(SmtpCarrier(settings(inbox, SmtpSecurity.NONE), FixedClock()))


def test_mail_without_tls_stays_on_this_machine() -> None:
    for host in ("localhost", "127.0.0.1", "::1"):
        SmtpSettings(host=host, port=25, sender="a@bank.example", security=SmtpSecurity.NONE)
    with pytest.raises(Misconfigured, match="without TLS"):
        SmtpSettings(host="mail.example", port=25, sender="a@bank.example", security=SmtpSecurity.NONE)


def test_half_a_login_and_a_sender_without_a_domain_are_refused() -> None:
    with pytest.raises(Misconfigured, match="together"):
        SmtpSettings(host="mail.example", port=587, sender="a@bank.example", username="a")
    with pytest.raises(Misconfigured, match="sender"):
        SmtpSettings(host="mail.example", port=587, sender="bank.example")
