"""Inquiry, reversal and retry at REST back ends, over real TLS: at the sandbox, and at a back end that lies."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rest_world import LyingBackEnd, Seen, Site, instruction, raw, signed

from tallystick.adapters.connectors.rest import RestConnector
from tallystick.delivery.model import Answer, Finding, Known, MessageIds, Original, Recovery, Verdict
from tallystick.errors import OutcomePending, OutcomeUnknown, ReversalRefused
from tallystick.testing.sandbox.http_failures import FAILURES, Failure
from tallystick.testing.sandbox.record import effective
from tallystick.testing.sandbox.rest import RestSandbox
from tallystick.wire import rest as wire

ACTED = {
    *(Failure.SILENT, Failure.LATE, Failure.FORGED, Failure.CUT, Failure.GARBAGE, Failure.HALF, Failure.BROKEN),
    Failure.UNLISTED,
}
NOT_ACTED = {Failure.CUT_BEFORE, Failure.LOST, Failure.UNAVAILABLE, Failure.BUSY}
UNDECIDED = {Failure.PENDING, Failure.IRREVERSIBLE}
NOT_FOUND = {*NOT_ACTED, Failure.UNLISTED}
IDS = MessageIds(stan="000002", rrn="000000000002", key="req_2", at=instruction().ids.at)


def original(amount: int, key: str = "req_1") -> Original:
    told = instruction(amount, key=key)
    return Original(payment_id=told.payment_id, order=told.order, ids=told.ids)


async def outcome(connector: RestConnector, amount: int) -> Verdict | type[BaseException]:
    try:
        return (await connector.deliver(instruction(amount))).verdict
    except OutcomeUnknown as unknown:
        return type(unknown)


async def decided(connector: RestConnector, amount: int) -> Finding:
    """Ask until the back end has decided."""
    while (found := await connector.inquire(original(amount), IDS)).known is Known.PENDING:  # noqa: ASYNC110  # as told
        await asyncio.sleep(0.05)
    return found


ROWS = [row for row in FAILURES.items() if row[1] is not Failure.TWICE]


@pytest.fixture(params=ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def row(request: pytest.FixtureRequest) -> tuple[int, Failure]:
    return int(request.param[0]), request.param[1]


async def test_each_failure_ends_in_what_is_proven_and_is_found_out_by_an_inquiry(
    tmp_path: Path, row: tuple[int, Failure]
) -> None:
    amount, failure = row
    site = Site.make(tmp_path)
    async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings(timeout_s=1.0)) as connector:
        expected: Any = OutcomePending
        if failure is Failure.SLOW:
            expected = Verdict.APPROVED
        elif failure in ACTED | NOT_ACTED:
            expected = OutcomeUnknown
        assert expected == await outcome(connector, amount)
        if failure in UNDECIDED:
            assert Known.PENDING is (await connector.inquire(original(amount), IDS)).known
        elif failure is Failure.TOLD_DECLINED:
            assert Finding(known=Known.DECLINED, code="51") == await decided(connector, amount)
        elif failure in NOT_FOUND:
            assert Finding(known=Known.NOT_FOUND) == await decided(connector, amount)
        else:
            assert Finding(known=Known.APPROVED, code="00") == await decided(connector, amount)
        without = NOT_ACTED | UNDECIDED | {Failure.TOLD_DECLINED}
        assert (0 if failure in without else 1) == effective(sandbox.record.entries)


async def test_a_reversal_leaves_nothing_whatever_went_wrong_before(tmp_path: Path, row: tuple[int, Failure]) -> None:
    amount, failure = row
    site = Site.make(tmp_path)
    async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings(timeout_s=1.0)) as connector:
        await outcome(connector, amount)
        if failure is Failure.IRREVERSIBLE:
            with pytest.raises(ReversalRefused):
                await connector.reverse(original(amount), IDS, repeat=False)
            return
        codes = [await connector.reverse(original(amount), IDS, repeat=repeat) for repeat in (False, True)]
        await asyncio.sleep(0.3)  # what was pending is decided no more
        assert ["21", "21"] == codes
        assert 0 == effective(sandbox.record.entries)


async def test_an_answer_too_many_is_taken_for_no_other_and_spoils_one_request_at_most(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings(timeout_s=5.0)) as connector:
        assert Verdict.APPROVED is await outcome(connector, 9907)
        with contextlib.suppress(OutcomeUnknown):
            assert Known.APPROVED is (await connector.inquire(original(9907), IDS)).known
        for _ in range(3):
            assert Known.APPROVED is (await connector.inquire(original(9907), IDS)).known


async def test_a_reversal_that_comes_first_keeps_the_request_from_any_effect(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings()) as connector:
        assert "21" == await connector.reverse(original(1250), IDS, repeat=False)
        answer = await connector.deliver(instruction(1250))
        assert Answer(verdict=Verdict.DECLINED, code="21") == answer
        assert Finding(known=Known.REVERSED, code="21") == await connector.inquire(original(1250), IDS)
        assert 0 == effective(sandbox.record.entries)


async def test_a_retry_after_a_lost_answer_gets_it_and_pays_once(tmp_path: Path) -> None:
    site = Site.make(tmp_path, slow_s=0.0)
    async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings()) as connector:
        assert Recovery.RETRY in connector.recovery
        answers = [await connector.deliver(instruction(9902)) for _ in range(2)]
        assert answers[0] == answers[1]
        assert [True, False] == [entry["effective"] for entry in sandbox.record.entries]


def status(**changes: Any) -> bytes:
    return json.dumps({"version": 1, "payment_key": "req_1", "status": "approved", "code": "00", **changes}).encode()


def reversal(**changes: Any) -> bytes:
    return json.dumps({"version": 1, "payment_key": "req_1", "verdict": "reversed", "code": "21", **changes}).encode()


Lie = Callable[[Site, Seen], bytes]


def answer(code: int, body: bytes) -> Lie:
    return lambda site, seen: raw(code, body, signed(site, seen, body, code))


@pytest.mark.parametrize(
    "lie",
    [
        lambda site, seen: raw(200, status(), {}),
        lambda site, seen: raw(200, status(), signed(site, seen, status(), nonce="another-nonce-of-16")),
        lambda site, seen: raw(200, status(), signed(site, seen, status(status="declined"))),
        answer(200, status(payment_key="req_2")),
        answer(200, status(status="maybe")),
        answer(200, status(extra=1)),
        answer(404, status()),
        answer(200, status(status="not_found")),
        answer(500, status(status="declined")),
        answer(200, b"garbage"),
    ],
    ids=[
        "unsigned",
        "to another request",
        "body altered",
        "another payment",
        "no status we know",
        "an unknown member",
        "approved with 404",
        "not found with 200",
        "declined with 500",
        "no JSON",
    ],
)
async def test_an_inquiry_without_a_proven_answer_finds_nothing_out(tmp_path: Path, lie: Lie) -> None:
    site = Site.make(tmp_path)
    back_end = LyingBackEnd(site, lambda seen: lie(site, seen))
    async with back_end.running(timeout_s=3.0) as settings, site.connector(settings) as connector:
        with pytest.raises(OutcomeUnknown):
            await connector.inquire(original(1250), IDS)


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        (lambda site, seen: raw(200, reversal(), {}), OutcomeUnknown),
        (answer(200, reversal(payment_key="req_2")), OutcomeUnknown),
        (answer(409, reversal()), OutcomeUnknown),
        (answer(500, reversal(verdict="refused")), OutcomeUnknown),
        (answer(200, reversal(verdict="refused")), ReversalRefused),
        (answer(409, reversal(verdict="refused")), ReversalRefused),
    ],
    ids=["unsigned", "another payment", "reversed with 409", "refused with 500", "refused", "refused with 409"],
)
async def test_only_a_proven_answer_ends_a_reversal(tmp_path: Path, lie: Lie, error: type[Exception]) -> None:
    site = Site.make(tmp_path)
    back_end = LyingBackEnd(site, lambda seen: lie(site, seen))
    async with back_end.running(timeout_s=3.0) as settings, site.connector(settings) as connector:
        with pytest.raises((OutcomeUnknown, ReversalRefused)) as raised:
            await connector.reverse(original(1250), IDS, repeat=False)
    assert error is raised.type


@pytest.mark.parametrize("code", [201, 400, 503])
async def test_pending_with_another_status_is_unknown(tmp_path: Path, code: int) -> None:
    site = Site.make(tmp_path)
    body = msgspec.json.encode({"version": 1, "payment_key": "req_1", "verdict": "pending", "code": "09"})
    back_end = LyingBackEnd(site, lambda seen: answer(code, body)(site, seen))
    async with back_end.running(timeout_s=3.0) as settings, site.connector(settings) as connector:
        assert OutcomeUnknown is await outcome(connector, 1250)


async def test_inquiry_and_reversal_name_the_original_in_the_signed_path(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    back_end = LyingBackEnd(site, lambda seen: answer(200, status() if seen.head[0] == "G" else reversal())(site, seen))
    async with back_end.running() as settings, site.connector(settings) as connector:
        await connector.inquire(original(1250), IDS)
        await connector.reverse(original(1250), IDS, repeat=False)
    asked, undone = back_end.seen
    assert asked.head.startswith("GET /v1/authorisations/req_1 ")
    assert undone.head.startswith("POST /v1/authorisations/req_1/reversal ")
    assert ("req_2", {"version": 1, "payment_key": "req_1"}) == (
        undone.headers["idempotency-key"],
        json.loads(undone.body),
    )
    assert b"" == asked.body
    assert wire.reversal("req_1") in undone.head


async def test_the_sandbox_takes_no_reversal_of_another_key_than_the_addresss(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    async with RestSandbox(site.config) as sandbox, site.connector(sandbox.settings()) as connector:
        body = wire.encode(wire.ReversalRequest(version=1, payment_key="req_2"))
        received = await connector._post(wire.reversal("req_1"), body, "req_3")
    assert 400 == received.status
