"""What becomes of each payment that the sandbox wallet spoils on request: never more than one effect, always an end."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from visa_world import CARD, World, follow_up, instruction, original

from tallystick.adapters.connectors.visa import VisaConnector
from tallystick.delivery.model import Answer, Finding, Known, Verdict
from tallystick.errors import OutcomePending, OutcomeUnknown, ReversalRefused
from tallystick.secret import Secret
from tallystick.testing.sandbox.record import effective, read

REVERSED = Answer(verdict=Verdict.DECLINED, code="reversed")


async def ask(connector: VisaConnector, amount: int) -> Finding:
    return await connector.inquire(original(instruction(amount)), follow_up())


async def undo(connector: VisaConnector, amount: int, *, repeat: bool = False) -> str:
    return await connector.reverse(original(instruction(amount)), follow_up("req_3"), repeat=repeat)


class TestAfterAnAnswerThatDidNotCome:
    @pytest.mark.parametrize(
        ("amount", "moved"),
        [
            (19901, 1),
            (19902, 1),
            (19903, 1),
            (19904, 1),
            (19905, 1),
            (19908, 1),
            (19909, 0),
            (19910, 0),
            (19911, 1),
            (19914, 0),
            (19915, 0),
            (19916, 1),
            (19917, 1),
        ],
        ids=[
            "no answer",
            "late answer",
            "wrong token",
            "cut",
            "garbage",
            "half",
            "cut before acting",
            "503",
            "unacknowledged",
            "lost",
            "429",
            "500",
            "unlisted",
        ],
    )
    async def test_a_retry_does_not_pay_twice_and_a_reversal_ends_it(
        self, visa: World, amount: int, moved: int
    ) -> None:
        async with visa.pair(reversal_silences=0) as (connector, sandbox):
            for _ in range(2):
                with pytest.raises(OutcomeUnknown):
                    await connector.deliver(instruction(amount))
            assert moved == effective(sandbox.record.entries)
            await undo(connector, amount)
            assert 0 == effective(sandbox.record.entries)

    @pytest.mark.parametrize(
        ("amount", "known", "code"),
        [
            (19901, Known.APPROVED, "00"),
            (19903, Known.APPROVED, "00"),
            (19904, Known.APPROVED, "00"),
            (19909, Known.NOT_FOUND, "25"),
            (19910, Known.NOT_FOUND, "25"),
            (19914, Known.NOT_FOUND, "25"),
            (19915, Known.NOT_FOUND, "25"),
            (19916, Known.APPROVED, "00"),
            (19917, Known.NOT_FOUND, "25"),
        ],
    )
    async def test_an_inquiry_tells_what_became_of_it(self, visa: World, amount: int, known: Known, code: str) -> None:
        async with visa.pair() as (connector, _):
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction(amount))
            assert Finding(known=known, code=code) == await ask(connector, amount)

    async def test_an_inquiry_about_a_decline_tells_it_with_its_code(self, visa: World) -> None:
        card = replace(CARD, expiry=Secret("2912"))
        async with visa.pair() as (connector, _):
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction(19901, card))
            assert Finding(known=Known.DECLINED, code="54") == await ask(connector, 19901)

    async def test_what_was_processed_twice_has_one_effect_and_one_answer(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            answer = await connector.deliver(instruction(19907))
            assert Answer(verdict=Verdict.APPROVED, code="00", approval="000001") == answer
            assert ["answered twice", "duplicate"] == [entry["outcome"] for entry in sandbox.record.entries]
            assert 1 == effective(sandbox.record.entries)


class TestPending:
    async def test_what_is_held_is_pending_until_an_inquiry_finds_it_decided(self, visa: World) -> None:
        async with visa.pair(pending_queries=2) as (connector, sandbox):
            for _ in range(2):
                with pytest.raises(OutcomePending):
                    await connector.deliver(instruction(19913))
            assert 0 == effective(sandbox.record.entries)
            findings = [await ask(connector, 19913) for _ in range(4)]
            assert [Known.PENDING, Known.PENDING, Known.APPROVED, Known.APPROVED] == [f.known for f in findings]
            assert ["09", "09", "00", "00"] == [finding.code for finding in findings]
            assert 1 == effective(sandbox.record.entries)

    async def test_what_is_held_may_be_declined(self, visa: World) -> None:
        async with visa.pair(pending_queries=0) as (connector, sandbox):
            with pytest.raises(OutcomePending):
                await connector.deliver(instruction(19921))
            assert Finding(known=Known.DECLINED, code="05") == await ask(connector, 19921)
            assert 0 == effective(sandbox.record.entries)

    async def test_what_is_reversed_while_it_is_held_never_pays(self, visa: World) -> None:
        async with visa.pair(pending_queries=0) as (connector, sandbox):
            with pytest.raises(OutcomePending):
                await connector.deliver(instruction(19913))
            assert "00" == await undo(connector, 19913)
            assert Known.REVERSED is (await ask(connector, 19913)).known
            assert 0 == effective(sandbox.record.entries)

    async def test_what_is_pending_for_ever_is_ended_by_a_reversal(self, visa: World) -> None:
        async with visa.pair(pending_queries=0) as (connector, _):
            with pytest.raises(OutcomePending):
                await connector.deliver(instruction(19922))
            assert Known.PENDING is (await ask(connector, 19922)).known
            await undo(connector, 19922)
            assert Known.REVERSED is (await ask(connector, 19922)).known


class TestReversal:
    async def test_it_undoes_what_was_approved_once_however_often_it_is_sent(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            await connector.deliver(instruction())
            assert ["00", "00"] == [await undo(connector, 1250, repeat=again) for again in (False, True)]
            assert Finding(known=Known.REVERSED, code="00") == await ask(connector, 1250)
            assert [False, True, False, False] == [entry["undone"] for entry in sandbox.record.entries]
            assert 0 == effective(sandbox.record.entries)

    async def test_an_authorization_that_arrives_after_its_reversal_has_no_effect(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            assert "25" == await undo(connector, 1250)
            assert REVERSED == await connector.deliver(instruction())
            assert Known.REVERSED is (await ask(connector, 1250)).known
            assert 0 == effective(sandbox.record.entries)

    async def test_an_authorization_that_is_repeated_after_its_reversal_is_declined(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            await connector.deliver(instruction())
            await undo(connector, 1250)
            assert REVERSED == await connector.deliver(instruction())
            assert 0 == effective(sandbox.record.entries)

    async def test_one_without_an_answer_is_repeated_until_it_has_one(self, visa: World) -> None:
        async with visa.pair(reversal_silences=1) as (connector, sandbox):
            with pytest.raises(OutcomeUnknown):
                await connector.deliver(instruction(19911))
            with pytest.raises(OutcomeUnknown):
                await undo(connector, 19911)
            assert "00" == await undo(connector, 19911, repeat=True)
            assert 0 == effective(sandbox.record.entries)

    async def test_one_that_the_wallet_refuses_is_told_apart(self, visa: World) -> None:
        async with visa.pair() as (connector, _):
            with pytest.raises(OutcomePending):
                await connector.deliver(instruction(19912))
            with pytest.raises(ReversalRefused, match="12"):
                await undo(connector, 19912)


class TestIdempotency:
    async def test_the_same_request_gets_the_same_answer_and_pays_once(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            first, second = await connector.deliver(instruction()), await connector.deliver(instruction())
            assert first == second
            assert ["approved", "duplicate"] == [entry["outcome"] for entry in sandbox.record.entries]
            assert 1 == effective(sandbox.record.entries)

    async def test_another_request_under_the_same_key_gets_no_decision(self, visa: World) -> None:
        async with visa.pair() as (connector, sandbox):
            await connector.deliver(instruction())
            for other in (instruction(9), instruction(credential=replace(CARD, pin_block=None))):
                with pytest.raises(OutcomeUnknown, match="409"):
                    await connector.deliver(other)
            assert ["approved", "conflict", "conflict"] == [entry["outcome"] for entry in sandbox.record.entries]
            assert 1 == effective(sandbox.record.entries)


async def test_it_runs_as_a_process_of_its_own_and_ends_at_sigterm(visa: World, tmp_path: Path) -> None:
    path, record = tmp_path / "sandbox.json", tmp_path / "record.jsonl"
    path.write_bytes(msgspec.json.encode(replace(visa.config, record=str(record))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tallystick.testing.sandbox.visa", "--config", str(path)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        word, port = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
        assert "READY" == word
        async with visa.connector(visa.settings(int(port))) as connector:
            await connector.echo()
            answer: Any = await connector.deliver(instruction())
            assert Verdict.APPROVED is answer.verdict
            process.send_signal(signal.SIGTERM)
            assert 0 == await asyncio.wait_for(process.wait(), 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert ["answered", "approved"] == [entry["outcome"] for entry in read(record)]
