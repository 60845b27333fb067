"""The connector to wallets in Visa's style over real TLS: before its sandbox, and before a wallet that lies."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from visa_world import (
    API_KEY,
    CARD,
    NUMBER,
    PLATFORM_URI,
    SHARED_SECRET,
    LyingWallet,
    Seen,
    World,
    answered,
    approval,
    certify,
    follow_up,
    instruction,
    mle_key,
    original,
    raw,
    sealed,
    token_for,
)

from tallystick import limits
from tallystick.adapters.ca_files import FileCa
from tallystick.assembly.facts import Order
from tallystick.crypto import mle, pay_token, pin
from tallystick.crypto.ca import PLATFORM
from tallystick.crypto.mle import ContentEncryption
from tallystick.crypto.pay_token import ResourcePath
from tallystick.delivery.model import Answer, MessageIds, Recovery, Verdict
from tallystick.errors import NotSent, OutcomePending, OutcomeUnknown, Unfit
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.record import effective
from tallystick.vault.model import AccountCredential, Credential

APPROVED = Answer(verdict=Verdict.APPROVED, code="00", approval="000001")


class TestAnswers:
    async def test_a_right_card_and_pin_are_approved_and_recorded_masked(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            assert APPROVED == await connector.deliver(instruction())
        expected = {
            "kind": "authorization",
            "key": "req_1",
            "amount": 1250,
            "currency": "CNY",
            "payee": "Corner Shop",
            "card": "424242••••••4242",
            "pin": "verified",
            "outcome": "approved",
            "code": "00",
            "effective": True,
            "undone": False,
        }
        [entry] = sandbox.record.entries
        assert expected == {name: value for name, value in entry.items() if name != "at"}

    @pytest.mark.parametrize(
        ("changes", "amount", "code"),
        [
            ({"pin_block": pin.pin_block_1(Secret("4321"))}, 1250, "55"),
            ({"pin_block": None}, 1250, "55"),
            ({"expiry": Secret("2912")}, 1250, "54"),
            ({"pan": Pan("5555555555554444")}, 1250, "14"),
            ({}, 1251, "51"),
            ({}, 1261, "61"),
            ({}, 9865, "65"),
            ({}, 1296, "96"),
        ],
        ids=["wrong PIN", "no PIN", "other expiry", "unknown card", "no funds", "limit", "any code", "malfunction"],
    )
    async def test_what_does_not_pay_is_declined_with_its_code(
        self, visa: World, changes: dict[str, Any], amount: int, code: str
    ) -> None:
        async with visa.pair() as (connector, sandbox):
            answer = await connector.deliver(instruction(amount, replace(CARD, **changes)))
        assert Answer(verdict=Verdict.DECLINED, code=code) == answer
        assert 0 == effective(sandbox.record.entries)

    async def test_a_decline_because_the_issuer_is_away_lets_another_candidate_be_tried(self, visa: World) -> None:
        async with visa.pair() as (connector, _):
            answer = await connector.deliver(instruction(9892))
        assert Answer(verdict=Verdict.DECLINED, code="92", elsewhere=True) == answer

    async def test_a_card_that_has_no_pin_pays_without_one(self, visa: World) -> None:
        card = replace(CARD, pan=Pan("4111111111111111"), pin_block=None)
        async with visa.pair() as (connector, _):
            assert APPROVED == await connector.deliver(instruction(credential=card))

    @pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
    async def test_both_content_encryptions_work_both_ways(self, visa: World, enc: ContentEncryption) -> None:
        async with (
            visa.sandbox(encryption=enc) as sandbox,
            visa.connector(sandbox.settings(visa.own_key, encryption=enc)) as connector,
        ):
            assert APPROVED == await connector.deliver(instruction())

    @pytest.mark.parametrize("path", ResourcePath)
    async def test_tokens_cover_the_path_as_the_product_wants(self, visa: World, path: ResourcePath) -> None:
        async with visa.pair(token_path=path) as (connector, _):
            assert APPROVED == await connector.deliver(instruction())

    async def test_a_wallet_that_asks_for_a_login_gets_it(self, visa: World) -> None:
        async with visa.pair(user_id="platform", password="long enough") as (connector, _):
            assert APPROVED == await connector.deliver(instruction())

    async def test_many_payments_share_kept_connections(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            for n in range(3):
                await connector.deliver(instruction(key=f"req_{n}"))
            assert 1 == sandbox.server.connections
            await asyncio.gather(*(connector.deliver(instruction(key=f"req_{n}")) for n in range(3, 12)))
            assert 12 == effective(sandbox.record.entries)

    async def test_the_wallets_certificate_may_have_another_name_than_its_address(self, visa: World) -> None:
        async with visa.sandbox() as sandbox:
            base_url = f"https://127.0.0.1:{sandbox.port}"
            settings = sandbox.settings(visa.own_key, base_url=base_url, server_name="localhost")
            async with visa.connector(settings) as connector:
                assert APPROVED == await connector.deliver(instruction())

    async def test_echo_proves_link_login_secret_and_keys(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            await connector.echo()
            assert ["health"] == [entry["kind"] for entry in sandbox.record.entries]
            wrong = sandbox.settings(visa.own_key, shared_secret=Secret("another secret of forty characters long!"))
            async with visa.connector(wrong) as stranger:
                with pytest.raises(OutcomeUnknown, match="401"):
                    await stranger.echo()

    async def test_a_slow_answer_that_comes_in_time_counts(self, visa: World) -> None:
        async with visa.pair() as (connector, _):
            assert APPROVED == await connector.deliver(instruction(19906))

    async def test_it_can_retry_inquire_and_reverse_unless_the_wallet_takes_no_reversals(self, visa: World) -> None:
        async with visa.connector(visa.settings(1)) as connector:
            assert frozenset(Recovery) == connector.recovery
            assert not connector.keeps_account
        async with visa.connector(visa.settings(1, reversal=False)) as connector:
            assert frozenset({Recovery.RETRY, Recovery.INQUIRY}) == connector.recovery


class TestNothingIsSent:
    async def test_to_a_port_that_nobody_listens_on(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            await sandbox.stop()
            with pytest.raises(NotSent, match="ConnectError"):
                await connector.deliver(instruction())
            with pytest.raises(NotSent, match="ConnectError"):
                await connector.inquire(original(instruction()), follow_up())

    async def test_to_a_server_of_another_name_or_authority(self, visa: World, tmp_path_factory: Any) -> None:
        other = FileCa.create(tmp_path_factory.mktemp("other"), name="other", now=SystemClock().now())
        async with visa.sandbox() as sandbox:
            for settings, context in (
                (sandbox.settings(visa.own_key, server_name="wallet.example"), visa.context()),
                (sandbox.settings(visa.own_key), visa.context(ca=other)),
            ):
                async with visa.connector(settings, context) as connector:
                    with pytest.raises(NotSent, match="ConnectError"):
                        await connector.deliver(instruction())
            assert [] == sandbox.record.entries

    @pytest.mark.parametrize(
        "credential",
        [
            AccountCredential(account=Secret("alipay:alice"), secret=Secret("secret")),
            replace(CARD, expiry=None),
            replace(CARD, chip=Secret("9F2608AABBCCDDEEFF0011")),
        ],
        ids=["account", "no expiry", "chip data"],
    )
    async def test_of_a_credential_that_the_wallet_has_no_place_for(self, visa: World, credential: Credential) -> None:
        async with visa.pair() as (connector, sandbox):
            with pytest.raises(Unfit, match="card number with its expiry"):
                await connector.deliver(instruction(credential=credential))
            assert [] == sandbox.record.entries

    @pytest.mark.parametrize(
        "changes",
        [
            {"order": Order(payee="lone \ud800", amount=1, currency="CNY")},
            {"order": Order(payee="Shop", amount=0, currency="CNY")},
            {"order": Order(payee="Shop", amount=1, currency="yuan")},
            {"order": Order(payee="", amount=1, currency="CNY")},
            {"ids": MessageIds(stan="1", rrn="1", key="a\r\nx: y", at=Millis(1))},
            {"credential": replace(CARD, expiry=Secret("\ud800"))},
            {"credential": replace(CARD, pan=Pan(""))},
        ],
        ids=str,
    )
    async def test_of_what_has_no_agreed_form(self, visa: World, changes: dict[str, Any]) -> None:
        async with visa.pair() as (connector, sandbox):
            with pytest.raises(Unfit, match="cannot be built"):
                await connector.deliver(replace(instruction(), **changes))
            assert [] == sandbox.record.entries

    async def test_after_the_connector_is_closed(self, visa: World) -> None:
        async with visa.pair() as (connector, _):
            await connector.aclose()
            with pytest.raises(NotSent, match="closed"):
                await connector.deliver(instruction())


Forgery = Callable[[World, Seen], bytes | None]


def under_token(world: World, seen: Seen, body: bytes, **token: Any) -> bytes:
    return raw(200, body, {pay_token.HEADER: token_for(seen, body, **token)})


def forgeries() -> dict[str, Forgery]:
    """Return answers that must prove nothing, by what is wrong with them."""
    old, early = Millis(SystemClock().now() - mle.FRESH_MS - 60_000), Millis(SystemClock().now() + mle.FRESH_MS * 2)
    return {
        "no token": lambda w, s: raw(200, sealed(w, approval()), {}),
        "token of a stranger": lambda w, s: under_token(w, s, sealed(w, approval()), secret="x" * 40),
        "token of another body": lambda w, s: raw(
            200, sealed(w, approval()), {pay_token.HEADER: token_for(s, sealed(w, approval()))}
        ),
        "token of another status": lambda w, s: under_token(w, s, sealed(w, approval()), status=201),
        "token of the request": lambda w, s: raw(
            200, sealed(w, approval()), {pay_token.HEADER: s.headers[pay_token.HEADER]}
        ),
        "old token": lambda w, s: under_token(w, s, sealed(w, approval()), at=old),
        "early token": lambda w, s: under_token(w, s, sealed(w, approval()), at=early),
        "two tokens": lambda w, s: raw(
            200, b := sealed(w, approval()), {pay_token.HEADER: f"{token_for(s, b)}, {token_for(s, b)}"}
        ),
        "sealed long ago": lambda w, s: under_token(w, s, sealed(w, approval(), at=old)),
        "sealed for another key": lambda w, s: under_token(w, s, sealed(w, approval(), key=mle_key("own-2"))),
        "sealed for the wallet itself": lambda w, s: under_token(w, s, sealed(w, approval(), key=w.wallet_key)),
        "the request sent back": lambda w, s: under_token(w, s, s.body),
        "in clear": lambda w, s: under_token(w, s, approval()),
        "no JSON": lambda w, s: under_token(w, s, b"garbage"),
        "nothing": lambda w, s: under_token(w, s, b""),
        "a sealed list": lambda w, s: answered(w, s, b"[]"),
        "another payment": lambda w, s: answered(w, s, approval(idempotencyKey="req_2")),
        "another kind of answer": lambda w, s: answered(
            w, s, approval(type="queryAnswer", originalKey="req_1", status="approved")
        ),
        "no verdict we know": lambda w, s: answered(w, s, approval(status="maybe")),
        "an unknown member": lambda w, s: answered(w, s, approval(extra=1)),
        "a code too long": lambda w, s: answered(w, s, approval(code="x" * 33)),
        "another success status": lambda w, s: answered(w, s, approval(), 202),
        "approved with a client error": lambda w, s: answered(w, s, approval(), 400),
        "declined with a server error": lambda w, s: answered(w, s, approval(status="declined"), 503),
        "too large": lambda w, s: under_token(w, s, sealed(w, approval()) + b" " * limits.BODY_MAX),
        "redirect": lambda w, s: raw(307, b"", {"location": "/wallet/v1/authorizations"}),
        "busy": lambda w, s: raw(429, b"", {"retry-after": "1"}),
        "cut short": lambda w, s: answered(w, s, approval())[:-1],
        "no HTTP": lambda w, s: b"garbage\r\n\r\n",
        "connection closed": lambda w, s: None,
    }


class TestOutcomesThatStayUnknown:
    @pytest.mark.parametrize("wrong", forgeries())
    async def test_whatever_is_no_authentic_decision_about_this_request(self, visa: World, wrong: str) -> None:
        wallet = LyingWallet(visa, lambda seen: forgeries()[wrong](visa, seen))
        async with wallet.running() as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        assert 1 == len(wallet.seen)

    async def test_the_lying_wallet_is_believed_when_it_does_not_lie(self, visa: World) -> None:
        wallet = LyingWallet(visa, lambda seen: answered(visa, seen, approval()))
        async with wallet.running() as connector:
            assert Answer(verdict=Verdict.APPROVED, code="00") == await connector.deliver(instruction())

    async def test_a_pending_answer_tells_that_the_outcome_comes_later(self, visa: World) -> None:
        wallet = LyingWallet(visa, lambda seen: answered(visa, seen, approval(status="pending", code="09")))
        async with wallet.running() as connector:
            with pytest.raises(OutcomePending):
                await connector.deliver(instruction())

    @pytest.mark.parametrize(
        "answer",
        [
            {"type": "queryAnswer", "originalKey": "req_9", "status": "approved"},
            {"type": "queryAnswer", "originalKey": "req_1", "status": "approved", "idempotencyKey": "req_1"},
            {"type": "reversalAnswer", "originalKey": "req_1", "status": "reversed"},
            {"type": "authorizationAnswer", "status": "approved"},
        ],
        ids=["another original", "another request", "a reversal's", "an authorization's"],
    )
    async def test_an_inquirys_answer_about_something_else_is_none(self, visa: World, answer: dict[str, Any]) -> None:
        clear = json.dumps({"idempotencyKey": "req_2", "code": "00", **answer}).encode()
        wallet = LyingWallet(visa, lambda seen: answered(visa, seen, clear))
        async with wallet.running() as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.inquire(original(instruction()), follow_up())

    async def test_a_reversals_answer_about_another_authorization_acknowledges_nothing(self, visa: World) -> None:
        told = {"type": "reversalAnswer", "originalKey": "req_9", "status": "reversed", "code": "00"}
        clear = json.dumps({"idempotencyKey": "req_2", **told}).encode()
        wallet = LyingWallet(visa, lambda seen: answered(visa, seen, clear))
        async with wallet.running() as connector:
            with pytest.raises(OutcomeUnknown, match="another authorization"):
                await connector.reverse(original(instruction()), follow_up(), repeat=False)

    async def test_a_certificate_that_the_wallet_refuses(self, visa: World, tmp_path_factory: Any) -> None:
        """TLS 1.3 tells it only after the request may have left."""
        other = FileCa.create(tmp_path_factory.mktemp("other"), name="other", now=SystemClock().now())
        certify(other, visa.place, "stranger", PLATFORM, PLATFORM_URI, [])
        certify(visa.ca, visa.place, "double", PLATFORM, "tallystick:platform:other", [])
        async with visa.sandbox() as sandbox:
            for name in ("stranger", "double"):
                async with visa.connector(sandbox.settings(visa.own_key), visa.context(name)) as connector:
                    with pytest.raises(OutcomeUnknown):
                        await connector.deliver(instruction())
            assert [] == sandbox.record.entries


class TestTheRequest:
    async def test_number_expiry_and_pin_are_nowhere_in_what_leaves(self, visa: World) -> None:
        wallet = LyingWallet(visa, lambda seen: None)
        async with wallet.running() as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        [seen] = wallet.seen
        sent = seen.head + seen.body.decode()
        decodable = [part + "=" * (-len(part) % 4) for part in json.loads(seen.body)["encData"].split(".")]
        sent += "".join(base64.urlsafe_b64decode(part).decode("latin-1") for part in decodable)
        assert CARD.pin_block is not None
        assert [] == [value for value in (NUMBER, "3012", CARD.pin_block.reveal(), "Corner Shop") if value in sent]

    async def test_it_has_exactly_the_headers_and_members_of_the_agreement(self, visa: World) -> None:
        wallet = LyingWallet(visa, lambda seen: None)
        async with wallet.running(user_id=Secret("platform"), password=Secret("long enough")) as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        [seen] = wallet.seen
        assert seen.head.startswith(f"POST /wallet/v1/authorizations?apikey={API_KEY} HTTP/1.1\r\n")
        ours = {"content-type", "keyid", "idempotency-key", "x-pay-token", "authorization"}
        assert {"host", "content-length"} | ours == set(seen.headers)
        assert ("wallet-1", "req_1") == (seen.headers["keyid"], seen.headers["idempotency-key"])
        assert base64.b64encode(b"platform:long enough").decode() == seen.headers["authorization"].removeprefix(
            "Basic "
        )
        body = json.loads(seen.body)
        assert {"encData"} == set(body)
        expected = {
            "type": "authorization",
            "idempotencyKey": "req_1",
            "merchantName": "Corner Shop",
            "amount": 1250,
            "currency": "CNY",
            "sentAt": 1_767_225_600_000,
            "card": {"primaryAccountNumber": NUMBER, "expiration": "3012", "pinBlock": "1" + "4" + "1234"},
            "reference": "A-1",
        }
        told = json.loads(visa.wallet_key.open(body["encData"], SystemClock().now()))
        told["card"]["pinBlock"] = told["card"]["pinBlock"][:6]  # the rest is random
        assert expected == told

    async def test_its_token_is_made_with_the_shared_secret_over_address_and_body(self, visa: World) -> None:
        wallet = LyingWallet(visa, lambda seen: None)
        async with wallet.running() as connector:
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction())
        [seen] = wallet.seen
        text = f"v1/authorizationsapikey={API_KEY}".encode() + seen.body
        pay_token.verify(Secret(SHARED_SECRET), seen.headers["x-pay-token"], text, SystemClock().now())

    async def test_a_base_url_with_a_path_is_kept(self, visa: World) -> None:
        wallet = LyingWallet(visa, lambda seen: None)
        async with wallet.running() as connector:
            base_url = connector._settings.base_url + "/psp/eu"
            async with visa.connector(replace(connector._settings, base_url=base_url)) as below:
                with pytest.raises(OutcomeUnknown):
                    await below.deliver(instruction())
        assert wallet.seen[0].target.startswith("/psp/eu/wallet/v1/authorizations?")

    async def test_no_secret_is_in_a_text_of_connector_or_settings(self, visa: World) -> None:
        settings = visa.settings(1, user_id=Secret("platform"), password=Secret("long enough"))
        async with visa.connector(settings) as connector:
            shown = repr(settings) + str(settings) + repr(connector) + str(vars(connector))
        pem = visa.own_key.pem().decode().splitlines()[1]
        assert [] == [value for value in (SHARED_SECRET, "long enough", pem) if value in shown]
