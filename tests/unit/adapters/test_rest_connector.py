"""The REST connector and its sandbox over real TLS on loopback, and over a back end that lies."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rest_world import (
    ACCOUNT,
    APPROVED_ONCE,
    CARD,
    INSTITUTION,
    PLATFORM_URI,
    LyingBackEnd,
    Seen,
    Site,
    approval,
    certify,
    instruction,
    raw,
    signed,
    silent,
)

from tallystick import limits
from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors import http_exchange
from tallystick.adapters.connectors.rest_settings import decode_settings
from tallystick.assembly.facts import CredentialKind, Order
from tallystick.crypto import pin
from tallystick.crypto.ca import PLATFORM
from tallystick.crypto.httpsig import parse_signature, sign_request
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import EcdsaPrivate, Ed25519Private
from tallystick.delivery.model import Answer, MessageIds, Verdict
from tallystick.errors import Misconfigured, NotSent, OutcomeUnknown
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.rest import RestSandbox, RestSandboxConfig
from tallystick.vault.model import AccountCredential, Credential
from tallystick.wire import rest as wire


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


@pytest.fixture
async def sandbox(site: Site) -> AsyncIterator[RestSandbox]:
    async with RestSandbox(site.config) as running:
        yield running


class TestAnswers:
    async def test_a_right_account_is_approved_and_recorded_masked(self, site: Site, sandbox: RestSandbox) -> None:
        async with site.connector(sandbox.settings()) as connector:
            answer = await connector.deliver(instruction())
        assert APPROVED_ONCE == answer
        expected = {
            "kind": "authorisation",
            "payment_key": "req_1",
            "amount": 1250,
            "currency": "CNY",
            "payee": "Corner Shop",
            "credential": "alipay:••••",
            "secret": "verified",
            "outcome": "approved",
            "code": "00",
            "effective": True,
        }
        [entry] = site.entries()
        assert expected == {name: value for name, value in entry.items() if name != "at"}

    @pytest.mark.parametrize(
        ("credential", "amount", "code", "secret"),
        [
            (AccountCredential(account=ACCOUNT.account, secret=Secret("wrong")), 1250, "55", "wrong"),
            (AccountCredential(account=Secret("alipay:bob"), secret=ACCOUNT.secret), 1250, "14", None),
            (ACCOUNT, 1251, "51", "verified"),
            (CARD, 1250, "57", None),
        ],
        ids=["wrong secret", "unknown account", "no funds", "a card at an account system"],
    )
    async def test_what_does_not_pay_is_declined(
        self, site: Site, sandbox: RestSandbox, credential: Credential, amount: int, code: str, secret: str | None
    ) -> None:
        settings = sandbox.settings(accepts=frozenset({CredentialKind.ACCOUNT, CredentialKind.CARD}))
        async with site.connector(settings) as connector:
            answer = await connector.deliver(instruction(amount, credential))
        assert Answer(verdict=Verdict.DECLINED, code=code) == answer
        [entry] = sandbox.record.entries
        assert (secret, False) == (entry["secret"], entry["effective"])

    async def test_many_payments_share_kept_connections(self, site: Site, sandbox: RestSandbox) -> None:
        async with site.connector(sandbox.settings()) as connector:
            for n in range(3):
                await connector.deliver(instruction(key=f"req_{n}"))
            assert 1 == sandbox.server.connections
            await asyncio.gather(*(connector.deliver(instruction(key=f"req_{n}")) for n in range(3, 20)))
        assert 20 == sum(entry["effective"] is True for entry in sandbox.record.entries)

    async def test_the_back_ends_certificate_may_have_another_name_than_its_address(
        self, site: Site, sandbox: RestSandbox
    ) -> None:
        settings = sandbox.settings(base_url=f"https://127.0.0.1:{sandbox.port}", server_name="localhost")
        async with site.connector(settings) as connector:
            assert APPROVED_ONCE == await connector.deliver(instruction())

    async def test_echo_proves_the_link(self, site: Site, sandbox: RestSandbox) -> None:
        async with site.connector(sandbox.settings()) as connector:
            await connector.echo()
        assert ["health"] == [entry["kind"] for entry in sandbox.record.entries]

    async def test_a_signed_client_error_with_a_declining_verdict_is_a_decision(self, site: Site) -> None:
        body = approval(verdict="declined", code="credential_unreadable")
        back_end = LyingBackEnd(site, lambda seen: raw(422, body, signed(site, seen, body, 422)))
        async with back_end.running() as settings, site.connector(settings) as connector:
            answer = await connector.deliver(instruction())
        assert Answer(verdict=Verdict.DECLINED, code="credential_unreadable") == answer


class TestWallet:
    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({}, "00"),
            ({"expiry": None}, "00"),
            ({"expiry": Secret("2912")}, "54"),
            ({"pin_block": None}, "55"),
            ({"pin_block": pin.pin_block_1(Secret("4321"))}, "55"),
            ({"pin_block": Secret("0412AC89ABCDEF67")}, "55"),
            ({"pan": Pan("4111111111111111")}, "14"),
        ],
        ids=["right", "no expiry", "other expiry", "no PIN", "other PIN", "no format 1 block", "unknown card"],
    )
    async def test_a_wallet_checks_card_expiry_and_pin(
        self, tmp_path: Path, changes: dict[str, Any], code: str
    ) -> None:
        cards = {"4242424242424242": {"expiry": "3012", "pin": "1234"}}
        site = Site.make(
            tmp_path, style="wallet", cards=msgspec.convert(cards, RestSandboxConfig.__annotations__["cards"])
        )
        credential = msgspec.structs.replace(CARD, pin_block=pin.pin_block_1(Secret("1234")))
        credential = msgspec.structs.replace(credential, **changes)
        async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings()) as connector:
            answer = await connector.deliver(instruction(credential=credential))
        assert code == answer.code
        assert credential.pan.masked == site.entries()[0]["credential"]


class TestNothingIsSent:
    async def test_to_a_port_that_nobody_listens_on(self, site: Site, sandbox: RestSandbox) -> None:
        settings = sandbox.settings()
        await sandbox.stop()
        async with site.connector(settings) as connector:
            with pytest.raises(NotSent, match="ConnectError"):
                await connector.deliver(instruction())
            with pytest.raises(NotSent, match="ConnectError"):
                await connector.echo()

    async def test_to_a_server_of_another_name_or_authority(self, site: Site, sandbox: RestSandbox) -> None:
        other = FileCa.create(site.place / "other", name="other", now=SystemClock().now())
        for settings, context in (
            (sandbox.settings(server_name="bank.example"), site.context()),
            (sandbox.settings(), site.context(ca=other)),
        ):
            async with site.connector(settings, context) as connector:
                with pytest.raises(NotSent, match="ConnectError"):
                    await connector.deliver(instruction())
        assert [] == sandbox.record.entries

    async def test_when_the_handshake_takes_too_long(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:  # the kernel accepts, nobody answers
            settings = site.settings(mute.getsockname()[1], timeout_s=0.4)
            async with site.connector(settings) as connector:
                with pytest.raises(NotSent, match="ConnectTimeout"):
                    await connector.deliver(instruction())

    async def test_when_no_connection_becomes_free(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http_exchange, "CONNECTIONS_MAX", 1)
        arrived = asyncio.Event()
        back_end = LyingBackEnd(site, silent(arrived))
        async with back_end.running(timeout_s=3.0) as settings, site.connector(settings) as connector:
            first = asyncio.create_task(connector.deliver(instruction()))
            await arrived.wait()
            with pytest.raises(NotSent, match="PoolTimeout"):
                await connector.deliver(instruction(key="req_2"))
            with pytest.raises(OutcomeUnknown):
                await first
        assert 1 == len(back_end.seen)

    async def test_of_a_credential_kind_that_the_back_end_does_not_take(self, site: Site, sandbox: RestSandbox) -> None:
        async with site.connector(sandbox.settings()) as connector:
            with pytest.raises(NotSent, match="kind of credential"):
                await connector.deliver(instruction(credential=CARD))
        assert [] == sandbox.record.entries

    @pytest.mark.parametrize(
        "changes",
        [
            {"order": Order(payee="lone \ud800", amount=1, currency="CNY")},
            {"order": Order(payee="Shop", amount=0, currency="CNY")},
            {"order": Order(payee="Shop", amount=1, currency="yuan")},
            {"order": Order(payee="", amount=1, currency="CNY")},
            {"ids": MessageIds(stan="1", rrn="1", key="a\r\nx: y", at=Millis(1))},
            {"credential": AccountCredential(account=Secret("a:b"), secret=Secret("\ud800"))},
            {"credential": AccountCredential(account=Secret("a:b"), secret=Secret(""))},
        ],
        ids=str,
    )
    async def test_of_what_has_no_agreed_form(self, site: Site, sandbox: RestSandbox, changes: dict[str, Any]) -> None:
        async with site.connector(sandbox.settings()) as connector:
            with pytest.raises(NotSent, match="cannot be built"):
                await connector.deliver(msgspec.structs.replace(instruction(), **changes))
        assert [] == sandbox.record.entries

    async def test_after_the_connector_is_closed(self, site: Site, sandbox: RestSandbox) -> None:
        async with site.connector(sandbox.settings()) as connector:
            await connector.aclose()
            with pytest.raises(NotSent, match="closed"):
                await connector.deliver(instruction())

    async def test_by_way_of_a_proxy_of_the_environment(
        self, site: Site, sandbox: RestSandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        async with site.connector(sandbox.settings()) as connector:
            assert APPROVED_ONCE == await connector.deliver(instruction())


class TestOutcomesThatStayUnknown:
    @pytest.mark.parametrize("amount", [19901, 19902], ids=["no answer", "late answer"])
    async def test_an_answer_that_does_not_come_in_time(self, site: Site, sandbox: RestSandbox, amount: int) -> None:
        async with site.connector(sandbox.settings(timeout_s=2.0)) as connector:
            with pytest.raises(OutcomeUnknown, match="Timeout"):
                await connector.deliver(instruction(amount))
        assert [True] == [entry["effective"] for entry in sandbox.record.entries]

    async def test_a_slow_answer_that_comes_in_time_counts(self, tmp_path: Path) -> None:
        site = Site.make(tmp_path, slow_s=0.05)
        async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings()) as connector:
            assert APPROVED_ONCE == await connector.deliver(instruction(19902))

    async def test_an_answer_that_trickles_in_longer_than_the_whole_time(self, site: Site) -> None:
        back_end = LyingBackEnd(site, silent(asyncio.Event()), drip=b"HTTP/1.1 100 Continue\r\n\r\n")
        async with back_end.running(timeout_s=2.0) as settings, site.connector(settings) as connector:
            with pytest.raises(OutcomeUnknown, match="TimeoutError"):
                await connector.deliver(instruction())

    async def test_an_answer_signed_by_another_key(self, site: Site, sandbox: RestSandbox) -> None:
        async with site.connector(sandbox.settings()) as connector:
            with pytest.raises(OutcomeUnknown, match="signature"):
                await connector.deliver(instruction(19903))
        assert [True] == [entry["effective"] for entry in sandbox.record.entries]

    @pytest.mark.parametrize(
        "answer",
        [
            lambda site, seen: raw(200, approval(), {}),
            lambda site, seen: raw(200, approval(code="01"), signed(site, seen, approval())),
            lambda site, seen: raw(202, approval(), signed(site, seen, approval())),
            lambda site, seen: raw(200, approval(), signed(site, seen, approval(), nonce="another-nonce-of-16")),
            lambda site, seen: raw(202, approval(), signed(site, seen, approval(), 202)),
            lambda site, seen: raw(400, approval(), signed(site, seen, approval(), 400)),
            lambda site, seen: raw(503, declined := approval(verdict="declined"), signed(site, seen, declined, 503)),
            lambda site, seen: raw(200, other := approval(payment_key="req_2"), signed(site, seen, other)),
            lambda site, seen: raw(200, other := approval(verdict="maybe"), signed(site, seen, other)),
            lambda site, seen: raw(200, other := approval(version=2), signed(site, seen, other)),
            lambda site, seen: raw(200, other := approval(extra=1), signed(site, seen, other)),
            lambda site, seen: raw(200, other := approval(code="x" * 33), signed(site, seen, other)),
            lambda site, seen: raw(200, b"garbage", signed(site, seen, b"garbage")),
            lambda site, seen: raw(200, b"", signed(site, seen, b"")),
            lambda site, seen: raw(200, big := approval() + b" " * limits.BODY_MAX, signed(site, seen, big)),
            lambda site, seen: raw(307, b"", {"location": "/v1/authorisations"}),
            lambda site, seen: raw(503, b"busy", {}),
            lambda site, seen: raw(200, approval(), signed(site, seen, approval()))[:-1],
            lambda site, seen: b"garbage\r\n\r\n",
            lambda site, seen: None,
        ],
        ids=[
            "unsigned",
            "body altered",
            "status altered",
            "answer to another request",
            "another success status",
            "approved with a client error",
            "declined with a server error",
            "another payment",
            "no verdict we know",
            "another version",
            "an unknown member",
            "a code too long",
            "no JSON",
            "nothing",
            "too large",
            "redirect",
            "server error",
            "cut short",
            "no HTTP",
            "connection closed",
        ],
    )
    async def test_whatever_is_no_signed_decision_about_this_request(
        self, site: Site, answer: Callable[[Site, Seen], bytes | None]
    ) -> None:
        back_end = LyingBackEnd(site, lambda seen: answer(site, seen))
        async with back_end.running(timeout_s=3.0) as settings, site.connector(settings) as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        assert 1 == len(back_end.seen)

    async def test_a_kept_connection_that_closes_under_a_request_is_never_tried_again(self, site: Site) -> None:
        def once(seen: Seen) -> bytes | None:
            return raw(200, approval(), signed(site, seen, approval())) if len(back_end.seen) == 1 else None

        back_end = LyingBackEnd(site, once)
        async with back_end.running() as settings, site.connector(settings) as connector:
            await connector.deliver(instruction())
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        assert (2, 1) == (len(back_end.seen), back_end.connections)

    async def test_a_kept_connection_that_closed_before_a_request_is_replaced(self, site: Site) -> None:
        async with RestSandbox(site.config) as sandbox:
            settings = sandbox.settings()
            port = sandbox.port
            async with site.connector(settings) as connector:
                await connector.deliver(instruction())
                await sandbox.stop()
                async with RestSandbox(msgspec.structs.replace(site.config, port=port, record=None)):
                    assert APPROVED_ONCE == await connector.deliver(instruction(key="req_2"))

    async def test_a_certificate_that_the_back_end_refuses(self, site: Site, sandbox: RestSandbox) -> None:
        """TLS 1.3 tells it only after the request may have left."""
        other = FileCa.create(site.place / "other", name="other", now=SystemClock().now())
        certify(other, site.place, "stranger", PLATFORM, PLATFORM_URI, [])
        certify(site.ca, site.place, "double", PLATFORM, "tallystick:platform:other", [])
        for name in ("stranger", "double"):
            async with site.connector(sandbox.settings(), site.context(name)) as connector:
                with pytest.raises(OutcomeUnknown):
                    await connector.deliver(instruction())
        assert [] == sandbox.record.entries

    async def test_requests_in_flight_when_the_connector_closes(self, site: Site) -> None:
        arrived = asyncio.Event()
        back_end = LyingBackEnd(site, silent(arrived))
        async with back_end.running() as settings, site.connector(settings) as connector:
            waiting = asyncio.create_task(connector.deliver(instruction()))
            await arrived.wait()
            await connector.aclose()
            with pytest.raises(OutcomeUnknown):
                await waiting

    @pytest.mark.parametrize("body", [b'{"version":1,"status":"ok"}', b'{"version":1,"status":"ill"}', b""])
    async def test_a_health_answer_without_right_signature_or_form_fails_the_echo(
        self, site: Site, body: bytes
    ) -> None:
        right = b'{"version":1,"status":"ok"}'
        back_end = LyingBackEnd(
            site,
            lambda seen: raw(
                503 if body == right else 200, body, signed(site, seen, body, 503 if body == right else 200)
            ),
        )
        async with back_end.running() as settings, site.connector(settings) as connector:
            with pytest.raises(OutcomeUnknown, match="health"):
                await connector.echo()


class TestTheRequest:
    async def test_the_credential_is_nowhere_in_clear_in_what_leaves(self, site: Site) -> None:
        back_end = LyingBackEnd(site, lambda seen: None)
        card = msgspec.structs.replace(CARD, pin_block=pin.pin_block_1(Secret("1234")))
        async with back_end.running() as settings, site.connector(settings) as connector:
            for credential in (ACCOUNT, card):
                with pytest.raises(OutcomeUnknown):
                    await connector.deliver(instruction(credential=credential))
        sent = "".join(seen.head + seen.body.decode() for seen in back_end.seen)
        assert 2 == len(back_end.seen)
        assert card.pin_block is not None
        values = (ACCOUNT.account, ACCOUNT.secret, card.pan, card.pin_block)
        assert [] == [value for value in values if value.reveal() in sent]

    async def test_it_has_exactly_the_headers_and_members_of_the_agreement(self, site: Site) -> None:
        back_end = LyingBackEnd(site, lambda seen: None)
        async with back_end.running() as settings, site.connector(settings) as connector:
            order = instruction()
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(order)
        [seen] = back_end.seen
        assert seen.head.startswith("POST /v1/authorisations HTTP/1.1\r\n")
        signature = {"content-digest", "signature-input", "signature"}
        assert {"host", "content-length", "content-type", "idempotency-key"} | signature == set(seen.headers)
        body = json.loads(seen.body)
        assert {"version", "payment_key", "order", "sent_at", "credential"} == set(body)
        assert {"payee": "Corner Shop", "amount": 1250, "currency": "CNY", "reference": "A-1"} == body["order"]
        assert (1, "req_1", order.ids.at) == (body["version"], body["payment_key"], body["sent_at"])
        assert wire.REQUEST_COVERED == parse_signature(seen.headers).components

    async def test_a_base_url_with_a_path_is_kept_and_signed(self, site: Site) -> None:
        back_end = LyingBackEnd(site, lambda seen: raw(200, approval(), signed(site, seen, approval())))
        async with back_end.running() as settings:
            below = msgspec.structs.replace(settings, base_url=settings.base_url + "/psp/eu")
            async with site.connector(below) as connector:
                await connector.deliver(instruction())
        assert back_end.seen[0].head.startswith("POST /psp/eu/v1/authorisations ")

    async def test_no_cookie_of_the_back_end_comes_back(self, site: Site) -> None:
        def answer(seen: Seen) -> bytes:
            return raw(200, approval(), {**signed(site, seen, approval()), "set-cookie": "a=b; Path=/"})

        back_end = LyingBackEnd(site, answer)
        async with back_end.running() as settings, site.connector(settings) as connector:
            await connector.deliver(instruction())
            await connector.deliver(instruction())
            assert 0 == len(connector._http._client.cookies)
        assert "cookie" not in back_end.seen[1].headers


async def post(site: Site, port: int, seen: Seen) -> bytes:
    """Send a request byte for byte as it was seen."""
    reader, writer = await asyncio.open_connection("localhost", port, ssl=site.context())
    writer.write(seen.head.encode() + seen.body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = int(Seen(answer.decode(), b"").headers["content-length"])
    answer += await reader.readexactly(length)
    writer.transport.abort()
    return answer


async def captured(site: Site) -> Seen:
    """Let the connector make one request."""
    back_end = LyingBackEnd(site, lambda seen: None)
    async with back_end.running() as settings, site.connector(settings) as connector:
        with pytest.raises(OutcomeUnknown):
            await connector.deliver(instruction())
    return back_end.seen[0]


def signed_anew(site: Site, seen: Seen, **changes: Any) -> Seen:
    """Change members of a request and sign it as the platform would."""
    body = json.dumps({**json.loads(seen.body), **changes}).encode()
    headers = {name: seen.headers[name] for name in ("host", "content-type", "idempotency-key")}
    signature = sign_request(
        site.platform_key,
        keyid="platform-1",
        method="POST",
        target=wire.AUTHORISATIONS,
        body=body,
        headers=headers,
        covered=wire.REQUEST_COVERED,
        created=site.clock.now() // 1000,
        nonce=os.urandom(16).hex(),
    )
    lines = {**headers, **signature, "content-length": str(len(body))}
    head = "\r\n".join([seen.head.split("\r\n")[0], *(f"{n}: {v}" for n, v in lines.items()), "", ""])
    return Seen(head, body)


class TestTheSandbox:
    async def test_it_refuses_a_replayed_request(self, site: Site, sandbox: RestSandbox) -> None:
        seen = await captured(site)
        first, second = await post(site, sandbox.port, seen), await post(site, sandbox.port, seen)
        assert (b"HTTP/1.1 200 ", b"HTTP/1.1 409 ") == (first[:13], second[:13])
        assert b"signature:" not in second
        assert ["approved", "replayed"] == [entry["outcome"] for entry in sandbox.record.entries]

    async def test_it_gives_the_same_answer_to_the_same_request_and_pays_once(
        self, site: Site, sandbox: RestSandbox
    ) -> None:
        async with site.connector(sandbox.settings()) as connector:
            first = await connector.deliver(instruction())
            second = await connector.deliver(instruction())
        assert APPROVED_ONCE == first == second
        assert [True, False] == [entry["effective"] for entry in sandbox.record.entries]

    async def test_it_gives_no_verdict_on_another_request_under_the_same_key(
        self, site: Site, sandbox: RestSandbox
    ) -> None:
        async with site.connector(sandbox.settings()) as connector:
            await connector.deliver(instruction())
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction(amount=9))
        assert ["approved", "idempotency_mismatch"] == [entry["outcome"] for entry in sandbox.record.entries]

    async def test_it_declines_a_credential_that_is_bound_to_another_order(
        self, site: Site, sandbox: RestSandbox
    ) -> None:
        seen = await captured(site)
        order = {**json.loads(seen.body)["order"], "payee": "Thief"}
        answer = await post(site, sandbox.port, signed_anew(site, seen, order=order))
        assert answer.startswith(b"HTTP/1.1 422 ")
        assert b'"verdict":"declined","code":"credential_unreadable"' in answer
        assert [None] == [entry["credential"] for entry in sandbox.record.entries]

    @pytest.mark.parametrize(
        "changes", [{"version": 2}, {"extra": 1}, {"credential": ""}, {"payment_key": "req_2"}], ids=str
    )
    async def test_it_refuses_what_has_not_the_agreed_form(
        self, site: Site, sandbox: RestSandbox, changes: dict[str, Any]
    ) -> None:
        answer = await post(site, sandbox.port, signed_anew(site, await captured(site), **changes))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"signature:" in answer
        assert b"verdict" not in answer

    async def test_it_refuses_an_altered_body_unsigned(self, site: Site, sandbox: RestSandbox) -> None:
        seen = await captured(site)
        answer = await post(site, sandbox.port, Seen(seen.head, seen.body.replace(b"1250", b"1251")))
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"signature:" not in answer

    async def test_it_refuses_another_signer_and_an_old_signature(self, site: Site, sandbox: RestSandbox) -> None:
        async with site.connector(sandbox.settings(), key=Ed25519Private()) as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        site.clock.offset = -limits.FRESHNESS_MS - 2000
        async with site.connector(sandbox.settings()) as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        assert ["signature_invalid", "message_stale"] == [entry["outcome"] for entry in sandbox.record.entries]

    async def test_it_runs_as_a_process_of_its_own_and_ends_at_sigterm(self, site: Site) -> None:
        path = site.place / "sandbox.json"
        path.write_bytes(msgspec.json.encode(msgspec.structs.replace(site.config, style="wallet")))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tallystick.testing.sandbox.rest", "--config", str(path), "--style", "account"),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            word, port = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
            assert "READY" == word
            async with site.connector(site.settings(int(port))) as connector:
                assert APPROVED_ONCE == await connector.deliver(instruction())
                process.send_signal(signal.SIGTERM)
                assert 0 == await asyncio.wait_for(process.wait(), 10)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert ["approved"] == [entry["outcome"] for entry in site.entries()]


class TestSettings:
    def good(self) -> dict[str, Any]:
        return {
            "base_url": "https://pay.example:8443/psp",
            "institution": INSTITUTION,
            "encryption_jwk": JweKey.generate("enc-1").public_jwk(),
            "verify_key": Ed25519Private().public().pem().decode(),
            "accepts": ["account"],
        }

    def test_good_settings_decode_with_the_usual_timeout(self) -> None:
        settings = decode_settings(json.dumps(self.good()).encode())
        assert (limits.DELIVERY_TIMEOUT_S, None) == (settings.timeout_s, settings.server_name)
        assert frozenset({CredentialKind.ACCOUNT}) == settings.accepts

    @pytest.mark.parametrize(
        "changes",
        [
            {"base_url": "http://pay.example"},
            {"base_url": "https://pay.example/"},
            {"base_url": "https://pay.example/?a=b"},
            {"base_url": "https://user@pay.example"},
            {"base_url": "https://pay.example:65536"},
            {"base_url": "https://pay.example:0"},
            {"base_url": "https://pay..example"},
            {"base_url": "https://pay.example\n"},
            {"server_name": "*.example"},
            {"institution": ""},
            {"encryption_jwk": {"kty": "EC"}},
            {"verify_key": "secret-looking"},
            {"verify_key": EcdsaPrivate().public().pem().decode()},
            {"accepts": []},
            {"accepts": ["login"]},
            {"accepts": ["card", "secret-looking"]},
            {"timeout_s": 0},
            {"timeout_s": 61},
            {"unknown": 1},
        ],
        ids=lambda changes: str(changes)[:40],
    )
    def test_settings_that_cannot_be_used_are_refused_without_quoting_them(self, changes: dict[str, Any]) -> None:
        with pytest.raises(Misconfigured) as refusal:
            decode_settings(json.dumps({**self.good(), **changes}).encode())
        assert "secret-looking" not in str(refusal.value)

    @pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b" " * 9000])
    def test_what_is_no_json_object_of_bounded_size_is_refused(self, data: bytes) -> None:
        with pytest.raises(Misconfigured):
            decode_settings(data)
