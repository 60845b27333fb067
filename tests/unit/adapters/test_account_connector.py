"""The connector to account systems: over real TLS against the sandbox, and against an account system that lies."""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from account_world import (
    CLIENT_ID,
    IDS,
    OURS,
    PAID,
    THEIRS,
    AccountSite,
    answer,
    instruction,
    original,
    result,
)
from rest_world import ACCOUNT, CARD, Seen, ShiftedClock, certify, raw

from tallystick import limits
from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors.account import AccountConnector
from tallystick.crypto.ca import PLATFORM
from tallystick.crypto.rsa_sign import RsaPrivate, sign_message
from tallystick.delivery.model import Answer, Finding, Known, Recovery, Verdict
from tallystick.errors import NotSent, OutcomePending, OutcomeUnknown, ReversalRefused, Unfit
from tallystick.runtime import SystemClock
from tallystick.secret import Secret
from tallystick.testing.sandbox.account import AccountSandbox
from tallystick.testing.sandbox.http_failures import FAILURES, Failure
from tallystick.testing.sandbox.record import effective, read
from tallystick.vault.model import AccountCredential, Credential
from tallystick.wire import account as wire

APPROVED = Answer(verdict=Verdict.APPROVED, code="SUCCESS")
ACTED = {
    *(Failure.SILENT, Failure.LATE, Failure.FORGED, Failure.CUT, Failure.GARBAGE, Failure.HALF, Failure.BROKEN),
    Failure.UNLISTED,
}
NOT_ACTED = {Failure.CUT_BEFORE, Failure.LOST, Failure.UNAVAILABLE, Failure.BUSY}
UNDECIDED = {Failure.PENDING, Failure.IRREVERSIBLE}
NOT_FOUND = {*NOT_ACTED, Failure.UNLISTED}
ROWS = [row for row in FAILURES.items() if row[1] is not Failure.TWICE]


@pytest.fixture(params=ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def row(request: pytest.FixtureRequest) -> tuple[int, Failure]:
    return int(request.param[0]), request.param[1]


@pytest.fixture
def site(tmp_path: Path) -> AccountSite:
    return AccountSite.make(tmp_path)


async def outcome(connector: AccountConnector, amount: int) -> Verdict | type[BaseException]:
    try:
        return (await connector.deliver(instruction(amount))).verdict
    except OutcomeUnknown as unknown:
        return type(unknown)


async def decided(connector: AccountConnector, amount: int) -> Finding:
    """Ask until the account system has decided."""
    while (found := await connector.inquire(original(amount), IDS)).known is Known.PENDING:  # noqa: ASYNC110  # as told
        await asyncio.sleep(0.05)
    return found


class TestTheSandbox:
    async def test_a_right_account_is_approved_and_recorded_masked(self, site: AccountSite) -> None:
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port) as connector:
            assert APPROVED == await connector.deliver(instruction())
        expected = {
            "kind": "pay",
            "payment_key": "req_1",
            "amount": 1250,
            "currency": "CNY",
            "payee": "Corner Shop",
            "credential": "alipay:••••",
            "secret": "verified",
            "outcome": "approved",
            "code": "SUCCESS",
            "effective": True,
        }
        [entry] = sandbox.record.entries
        assert expected == {name: value for name, value in entry.items() if name != "at"}

    @pytest.mark.parametrize(
        ("credential", "amount", "code"),
        [
            (AccountCredential(account=ACCOUNT.account, secret=Secret("no")), 1250, "USER_AUTHENTICATION_FAILED"),
            (AccountCredential(account=Secret("alipay:bob"), secret=ACCOUNT.secret), 1250, "USER_NOT_EXIST"),
            (ACCOUNT, 1251, "USER_BALANCE_NOT_ENOUGH"),
            (ACCOUNT, 1259, "RISK_REJECT"),
            (ACCOUNT, 1257, "CURRENCY_NOT_SUPPORT"),
        ],
        ids=["wrong secret", "unknown account", "no funds", "risk", "currency"],
    )
    async def test_what_does_not_pay_is_declined(
        self, site: AccountSite, credential: Credential, amount: int, code: str
    ) -> None:
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port) as connector:
            got = await connector.deliver(instruction(amount, credential))
        assert Answer(verdict=Verdict.DECLINED, code=code, elsewhere=code == "CURRENCY_NOT_SUPPORT") == got
        assert 0 == effective(sandbox.record.entries)

    async def test_each_failure_ends_in_what_is_proven_and_is_found_out_by_an_inquiry(
        self, site: AccountSite, row: tuple[int, Failure]
    ) -> None:
        amount, failure = row
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port, timeout_s=1.0) as connector:
            expected: Any = OutcomePending
            if failure is Failure.SLOW:
                expected = Verdict.APPROVED
            elif failure in ACTED | NOT_ACTED:
                expected = OutcomeUnknown
            assert expected == await outcome(connector, amount)
            if failure in UNDECIDED:
                assert Known.PENDING is (await connector.inquire(original(amount), IDS)).known
            elif failure is Failure.TOLD_DECLINED:
                assert Finding(known=Known.DECLINED, code="USER_BALANCE_NOT_ENOUGH") == await decided(connector, amount)
            elif failure in NOT_FOUND:
                assert Finding(known=Known.NOT_FOUND, code="ORDER_NOT_EXIST") == await decided(connector, amount)
            else:
                assert Finding(known=Known.APPROVED, code="SUCCESS") == await decided(connector, amount)
            without = NOT_ACTED | UNDECIDED | {Failure.TOLD_DECLINED}
            assert (0 if failure in without else 1) == effective(sandbox.record.entries)

    async def test_a_cancellation_leaves_nothing_whatever_went_wrong_before(
        self, site: AccountSite, row: tuple[int, Failure]
    ) -> None:
        amount, failure = row
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port, timeout_s=1.0) as connector:
            await outcome(connector, amount)
            if failure is Failure.IRREVERSIBLE:
                with pytest.raises(ReversalRefused, match="CANCEL_NOT_ALLOWED"):
                    await connector.reverse(original(amount), IDS, repeat=False)
                return
            codes = [await connector.reverse(original(amount), IDS, repeat=repeat) for repeat in (False, True)]
            await asyncio.sleep(0.3)  # what was pending is decided no more
            assert ["SUCCESS", "SUCCESS"] == codes
            assert 0 == effective(sandbox.record.entries)

    async def test_a_cancellation_that_comes_first_keeps_the_payment_from_any_effect(self, site: AccountSite) -> None:
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port) as connector:
            await connector.reverse(original(), IDS, repeat=False)
            declined = Answer(verdict=Verdict.DECLINED, code="ORDER_IS_CANCELLED")
            assert declined == await connector.deliver(instruction())
            assert Known.REVERSED is (await connector.inquire(original(), IDS)).known
            assert 0 == effective(sandbox.record.entries)

    async def test_an_answer_too_many_is_taken_for_no_other_and_spoils_one_request_at_most(
        self, site: AccountSite
    ) -> None:
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port, timeout_s=5.0) as connector:
            assert Verdict.APPROVED is await outcome(connector, 9907)
            with contextlib.suppress(OutcomeUnknown):
                assert Known.NOT_FOUND is (await connector.inquire(original(key="req_9"), IDS)).known
            for _ in range(3):
                assert Known.NOT_FOUND is (await connector.inquire(original(key="req_9"), IDS)).known

    async def test_a_retry_gets_the_same_answer_and_pays_once(self, site: AccountSite) -> None:
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port) as connector:
            assert Recovery.RETRY in connector.recovery
            assert [APPROVED, APPROVED] == [await connector.deliver(instruction()) for _ in range(2)]
        assert [True, False] == [entry["effective"] for entry in sandbox.record.entries]

    async def test_another_payment_under_the_same_id_is_unknown_for_the_first_may_count(
        self, site: AccountSite
    ) -> None:
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port) as connector:
            await connector.deliver(instruction())
            assert OutcomeUnknown is await outcome(connector, 1300)
        assert 1 == effective(sandbox.record.entries)

    async def test_echo_proves_the_link_and_both_keys(self, site: AccountSite) -> None:
        async with AccountSandbox(site.config) as sandbox:
            async with site.connector(sandbox.port) as connector:
                await connector.echo()
            for wrong in (
                {"private_key": Secret(RsaPrivate().pem().decode())},
                {"key_version": 2},
                {"client_id": "CLIENT_2"},
                {"verify_keys": {1: RsaPrivate().public().pem().decode()}},
                {"verify_keys": {2: THEIRS.public().pem().decode()}},
            ):
                async with site.connector(sandbox.port, **wrong) as connector:
                    with pytest.raises(OutcomeUnknown):
                        await connector.echo()

    async def test_it_refuses_a_stale_request_and_a_certificate_of_somebody_else(self, site: AccountSite) -> None:
        assert isinstance(site.clock, ShiftedClock)
        async with AccountSandbox(site.config) as sandbox:
            site.clock.offset = -limits.FRESHNESS_MS - 2000
            async with site.connector(sandbox.port) as connector:
                assert OutcomeUnknown is await outcome(connector, 1250)
            assert ["signature_invalid"] == [entry["outcome"] for entry in sandbox.record.entries]
            site.clock.offset = 0
            certify(site.ca, site.place, "double", PLATFORM, "tallystick:platform:other", [])
            async with site.connector(sandbox.port, "double") as connector:
                assert OutcomeUnknown is await outcome(connector, 1250)
            assert 1 == len(sandbox.record.entries)

    async def test_it_declines_a_credential_that_is_bound_to_another_order(self, site: AccountSite) -> None:
        seen: list[Seen] = []
        async with site.lying(lambda _, request: seen.append(request)) as liar:
            assert OutcomeUnknown is await outcome(liar.connector, 1250)
        message = json.loads(seen[0].body)
        message["order"]["orderDescription"] = "Thief"
        request = msgspec.convert(message, wire.PayRequest)
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port) as connector:
            told = json.loads(await connector._ask(wire.PAY, request, "req_1"))
        assert ("F", "CREDENTIAL_UNREADABLE") == (told["result"]["resultStatus"], told["result"]["resultCode"])
        assert [None] == [entry["credential"] for entry in sandbox.record.entries]

    async def test_it_runs_as_a_process_of_its_own_and_ends_at_sigterm(self, tmp_path: Path) -> None:
        site = AccountSite.make(tmp_path, record=str(tmp_path / "record.jsonl"))
        path = tmp_path / "sandbox.json"
        path.write_bytes(msgspec.json.encode(site.config))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tallystick.testing.sandbox.account", "--config", str(path)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            word, port = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
            assert "READY" == word
            async with site.connector(int(port)) as connector:
                assert APPROVED == await connector.deliver(instruction())
            process.send_signal(signal.SIGTERM)
            assert 0 == await asyncio.wait_for(process.wait(), 20)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert ["approved"] == [entry["outcome"] for entry in read(tmp_path / "record.jsonl")]


class TestNothingIsSent:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"credential": CARD}, "accounts only"),
            ({"currency": "USD"}, "currency"),
            ({"payee": ""}, "cannot be built"),
            ({"payee": "lone \ud800"}, "cannot be built"),
            ({"amount": 0}, "cannot be built"),
            ({"key": "a\r\nx: y"}, "cannot be built"),
            ({"credential": AccountCredential(account=Secret("a:b"), secret=Secret("\ud800"))}, "cannot be built"),
        ],
        ids=str,
    )
    async def test_of_what_does_not_fit_this_back_end(
        self, site: AccountSite, changes: dict[str, Any], why: str
    ) -> None:
        async with AccountSandbox(site.config) as sandbox, site.connector(sandbox.port) as connector:
            with pytest.raises(Unfit, match=why):
                await connector.deliver(instruction(**changes))
        assert [] == sandbox.record.entries

    async def test_to_a_port_that_nobody_listens_on_or_to_another_authority(self, site: AccountSite) -> None:
        async with AccountSandbox(site.config) as sandbox:
            port = sandbox.port
            other = FileCa.create(site.place / "other", name="other", now=SystemClock().now())
            own, site.ca = site.ca, other
            async with site.connector(port) as connector:
                with pytest.raises(NotSent, match="ConnectError"):
                    await connector.deliver(instruction())
            site.ca = own
        async with site.connector(port) as connector:
            with pytest.raises(NotSent, match="ConnectError"):
                await connector.deliver(instruction())
        assert [] == sandbox.record.entries


LIES = {
    "unsigned": lambda site, seen: raw(200, json.dumps(result(**PAID)).encode(), {}),
    "by another key": answer(result(**PAID), key=RsaPrivate()),
    "by our own key": answer(result(**PAID), key=OURS),
    "by an unknown version": answer(result(**PAID), version=2),
    "stale": answer(result(**PAID), late_ms=limits.FRESHNESS_MS + 5_000),
    "for another address": answer(result(**PAID), path="/v1/payments/cancel"),
    "altered": answer(result("RISK_REJECT", "F"), sent=json.dumps(result(**PAID)).encode()),
    "encoded anew": answer(json.dumps(result(**PAID)), sent=json.dumps(result(**PAID), indent=1).encode()),
    "with a request's time": lambda site, seen: raw(200, json.dumps(result(**PAID)).encode(), as_a_request(seen)),
    "status 201": answer(result(**PAID), 201),
    "status 400": answer(result("RISK_REJECT", "F"), 400),
    "status 503": answer(result("RISK_REJECT", "F"), 503),
    "another payment": answer({**result(**PAID), "paymentRequestId": "req_2"}),
    "no payment": answer({"result": result()["result"], **PAID}),
    "another amount": answer(result(paymentAmount={"currency": "CNY", "value": "1249"})),
    "another currency": answer(result(paymentAmount={"currency": "HKD", "value": "1250"})),
    "no amount": answer(result()),
    "unknown": answer(result("UNKNOWN_EXCEPTION", "U")),
    "no status we know": answer(result("SUCCESS", "X", **PAID)),
    "a code too long": answer(result("X" * 65, "F")),
    "an earlier request counts": answer(result("REPEAT_REQ_INCONSISTENT", "F")),
    "no JSON": answer(b"garbage"),
    "nothing": answer(b""),
    "too large": answer(json.dumps(result(**PAID)).encode() + b" " * limits.BODY_MAX),
    "connection closed": lambda site, seen: None,
}


def as_a_request(seen: Seen) -> dict[str, str]:
    told = {"method": "POST", "path": seen.head.split(" ")[1], "client_id": CLIENT_ID}
    body, at = json.dumps(result(**PAID)).encode(), SystemClock().now()
    return sign_message(THEIRS, 1, time_header="request-time", at=at, body=body, **told)


class TestAnswers:
    @pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
    async def test_what_is_no_proven_outcome_of_this_payment_stays_unknown(self, site: AccountSite, lie: Any) -> None:
        async with site.lying(lie) as liar:
            with pytest.raises(OutcomeUnknown) as unknown:
                await liar.connector.deliver(instruction())
        assert OutcomeUnknown is unknown.type
        assert 1 == len(liar.seen)

    async def test_members_that_are_not_known_here_are_ignored(self, site: AccountSite) -> None:
        async with site.lying(answer(result(paymentId="P1", paymentTime="2027", more={"a": 1}, **PAID))) as liar:
            assert APPROVED == await liar.connector.deliver(instruction())

    async def test_a_key_may_be_followed_by_the_next_one(self, site: AccountSite) -> None:
        following = RsaPrivate()
        keys = {1: THEIRS.public().pem().decode(), 2: following.public().pem().decode()}
        async with site.lying(answer(result(**PAID), key=following, version=2)) as liar:
            port = int(liar.connector._settings.base_url.rpartition(":")[2])
            async with site.connector(port, verify_keys=keys) as connector:
                assert APPROVED == await connector.deliver(instruction())

    @pytest.mark.parametrize(
        "told",
        [
            result(paymentStatus="SUCCESS"),
            result(paymentStatus="SUCCESS", paymentAmount={"currency": "CNY", "value": "1"}),
            result(paymentStatus="DONE"),
            result(),
            result("UNKNOWN_EXCEPTION", "U", paymentStatus="FAIL"),
            result("PARAM_ILLEGAL", "F", paymentStatus="FAIL"),
            {**result(paymentStatus="FAIL"), "paymentRequestId": "req_2"},
        ],
        ids=str,
    )
    async def test_an_inquiry_without_a_clear_answer_finds_nothing_out(self, site: AccountSite, told: Any) -> None:
        async with site.lying(answer(told)) as liar:
            with pytest.raises(OutcomeUnknown):
                await liar.connector.inquire(original(), IDS)

    @pytest.mark.parametrize(
        ("told", "error"),
        [
            (result("UNKNOWN_EXCEPTION", "U"), OutcomeUnknown),
            ({**result(), "paymentRequestId": "req_2"}, OutcomeUnknown),
            (result("CANCEL_WINDOW_EXCEED", "F"), ReversalRefused),
        ],
        ids=str,
    )
    async def test_only_success_ends_a_cancellation(self, site: AccountSite, told: Any, error: type[Exception]) -> None:
        async with site.lying(answer(told)) as liar:
            with pytest.raises((OutcomeUnknown, ReversalRefused)) as raised:
                await liar.connector.reverse(original(), IDS, repeat=False)
        assert error is raised.type

    @pytest.mark.parametrize("told", [result("SYSTEM_ERROR", "U"), {}, {"result": "ok"}], ids=str)
    async def test_a_health_call_without_success_fails_the_echo(self, site: AccountSite, told: Any) -> None:
        async with site.lying(answer(told)) as liar:
            with pytest.raises(OutcomeUnknown):
                await liar.connector.echo()


class TestTheRequest:
    async def test_the_credential_is_nowhere_in_clear_in_what_leaves(self, site: AccountSite) -> None:
        async with site.lying(lambda site, seen: None) as liar:
            assert OutcomeUnknown is await outcome(liar.connector, 1250)
        [seen] = liar.seen
        assert [] == [v for v in (ACCOUNT.account, ACCOUNT.secret) if v.reveal() in seen.head + seen.body.decode()]
        assert "alice" not in seen.body.decode()

    async def test_it_has_exactly_the_headers_and_members_of_the_agreement(self, site: AccountSite) -> None:
        async with site.lying(lambda site, seen: None) as liar:
            assert OutcomeUnknown is await outcome(liar.connector, 1250)
        [seen] = liar.seen
        assert seen.head.startswith("POST /v1/payments/pay HTTP/1.1\r\n")
        assert {"host", "content-length", "content-type", "client-id", "request-time", "signature"} == set(seen.headers)
        body = json.loads(seen.body)
        token = body["paymentMethod"].pop("paymentMethodId")
        assert 5 == len(token.split("."))
        expected = {
            "paymentRequestId": "req_1",
            "order": {"orderDescription": "Corner Shop", "referenceOrderId": "A-1"},
            "paymentAmount": {"currency": "CNY", "value": "1250"},
            "paymentMethod": {"paymentMethodType": "ACCOUNT"},
        }
        assert expected == body

    async def test_a_base_url_with_a_path_is_kept_and_signed(self, site: AccountSite) -> None:
        async with site.lying(answer(result(**PAID))) as liar:
            port = int(liar.connector._settings.base_url.rpartition(":")[2])
            async with site.connector(port, base_url=f"https://localhost:{port}/ams/api") as connector:
                assert APPROVED == await connector.deliver(instruction())
        assert liar.seen[0].head.startswith("POST /ams/api/v1/payments/pay ")
