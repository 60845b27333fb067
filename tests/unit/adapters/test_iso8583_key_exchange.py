"""Session keys in key blocks under the zone key, over real TLS: asked for, pushed, refused, broken and made anew."""

import asyncio
from typing import Any, Final

import pytest
from iso8583_world import AES_KEY, ZONE_KEY, Place, connected, instruction, until

from tallystick.delivery.model import Answer, Verdict
from tallystick.errors import NotSent, OutcomeUnknown
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.unionpay_keys import MAC_KEY, PIN_KEY

BY_US: Final = {"keys": "exchange", "zone_key": ZONE_KEY, "mac_key": None, "pin_key": None}
BY_BANK: Final = {"zone_key": ZONE_KEY, "mac_key": None, "pin_key": None}
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "cmac, format 0": {},
    "x9.19, format 0": {"mac": "x9.19"},
    "terminal MAC": {"mac": "pos-ecb"},
    "cmac, format 4": {"pin_format": 4},
    "member MAC text": {"mac": "x9.19", "mac_text": "member"},
    "bcd": {"format": "bcd"},
    "swapped key types": {"swapped_key_types": True},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
async def test_session_keys_come_in_key_blocks_before_the_sign_on(place: Place, variant: dict[str, Any]) -> None:
    async with connected(place, sandbox={**BY_BANK, **variant}, **BY_US, **variant) as (connector, sandbox):
        answer = await connector.deliver(instruction())
        assert 2 == sandbox.keys.resets

    assert Verdict.APPROVED is answer.verdict
    assert ["verified"] == [entry["pin"] for entry in sandbox.record.entries]


async def test_key_blocks_of_version_b_carry_tdes_keys(place: Place) -> None:
    zone_key = ZONE_KEY[:32]
    variant = {"mac": "x9.19", "zone_key": zone_key}
    bank = {**BY_BANK, **variant, "key_block_version": "B"}
    async with connected(place, sandbox=bank, **{**BY_US, **variant}) as (connector, _):
        answer = await connector.deliver(instruction())

    assert Verdict.APPROVED is answer.verdict


async def test_connections_share_the_keys_that_the_first_one_got(place: Place) -> None:
    async with connected(place, sandbox=BY_BANK, connections=3, timeout_s=20.0, **BY_US) as (connector, sandbox):
        await connector.echo()
        answers = await asyncio.gather(*(connector.deliver(instruction(n)) for n in range(1, 31)))
        assert 2 == sandbox.keys.resets

    assert {Verdict.APPROVED} == {answer.verdict for answer in answers}


async def test_a_pushed_key_takes_effect_and_answers_in_flight_keep_theirs(place: Place) -> None:
    async with connected(place, sandbox=BY_BANK, connections=2, timeout_s=20.0, **BY_US) as (connector, sandbox):
        await connector.echo()
        before = [asyncio.create_task(connector.deliver(instruction(n, amount=19902))) for n in range(1, 5)]
        await until(lambda: len(sandbox.record.entries) == 4)
        connection = next(iter(sandbox.connections))
        for kind in (MAC_KEY, PIN_KEY):
            connection.push_key(kind)
        await until(lambda: sandbox.keys.resets == 4)
        after = await asyncio.gather(*(connector.deliver(instruction(n)) for n in range(5, 15)))
        answers = [*await asyncio.gather(*before), *after]

    assert [Verdict.APPROVED] * 14 == [answer.verdict for answer in answers]
    assert 14 == record.effective(sandbox.record.entries)
    assert 0 == connector.counts.unauthenticated


async def test_no_request_fails_while_keys_are_pushed_under_load(place: Place) -> None:
    bank = {**BY_BANK, "rekey_every": 50}
    async with connected(place, sandbox=bank, connections=3, timeout_s=20.0, **BY_US) as (connector, sandbox):
        await connector.echo()
        for start in range(1, 201, 20):
            answers = await asyncio.gather(*(connector.deliver(instruction(n)) for n in range(start, start + 20)))
            assert {Verdict.APPROVED} == {answer.verdict for answer in answers}
        assert sandbox.keys.resets > 2

    assert 200 == record.effective(sandbox.record.entries)
    assert 0 == connector.counts.unauthenticated


@pytest.mark.parametrize(("ours", "theirs"), [(ZONE_KEY, ZONE_KEY[::-1]), (ZONE_KEY, AES_KEY)])
async def test_a_key_block_under_another_zone_key_is_refused_and_nothing_is_sent(
    place: Place, ours: str, theirs: str
) -> None:
    bank = {**BY_BANK, "zone_key": theirs}
    async with connected(place, sandbox=bank, **{**BY_US, "zone_key": ours}) as (connector, sandbox):
        with pytest.raises(NotSent, match="MAC key is not usable"):
            await connector.deliver(instruction())

    assert [] == sandbox.record.entries


async def test_a_bank_without_exchange_gives_no_keys(place: Place) -> None:
    async with connected(place, **BY_US) as (connector, _):
        with pytest.raises(NotSent):
            await connector.deliver(instruction())


async def test_a_pushed_key_that_is_refused_leaves_the_keys_as_they_are(place: Place) -> None:
    async with connected(place, sandbox=BY_BANK, **BY_US) as (connector, sandbox):
        await connector.echo()
        (connection,) = sandbox.connections
        connection.ask("101", "900001", {"48": "no key block", "53": "2600000000000000"})
        _, block, _ = sandbox.keys.make(PIN_KEY)
        connection.ask("101", "900002", {"48": block, "53": "2600000000000000"})  # a PIN key sent as a MAC key
        connection.ask("101", "900003", {"48": block, "53": "9600000000000000"})
        await until(lambda: len(connection.answers) == 3)
        answer = await connector.deliver(instruction())
        assert 2 == sandbox.keys.resets

    assert ["99"] * 3 == [each["39"] for each in connection.answers]
    assert Verdict.APPROVED is answer.verdict


@pytest.mark.parametrize("kind", [MAC_KEY, PIN_KEY], ids=["MAC key", "PIN key"])
async def test_three_messages_in_a_row_that_speak_of_wrong_keys_bring_a_new_exchange(place: Place, kind: str) -> None:
    async with connected(place, sandbox=BY_BANK, timeout_s=20.0, **BY_US) as (connector, sandbox):
        await connector.deliver(instruction(1))
        sandbox.keys.lose(kind)
        failed: list[Answer | OutcomeUnknown] = []
        for n in (2, 3, 4):
            try:
                failed.append(await connector.deliver(instruction(n)))
            except OutcomeUnknown as unknown:
                failed.append(unknown)
        assert 2 == sandbox.keys.resets
        mended = await connector.deliver(instruction(5))
        assert 4 == sandbox.keys.resets

    assert not [each for each in failed if isinstance(each, Answer) and each.code != "99"]
    assert Verdict.APPROVED is mended.verdict
    assert 2 == record.effective(sandbox.record.entries)


async def test_a_right_answer_in_between_ends_the_row(place: Place) -> None:
    async with connected(place, sandbox=BY_BANK, **BY_US) as (connector, sandbox):
        for n, amount in enumerate((9899, 9899, 1000, 9899, 9899, 1000), start=1):
            await connector.deliver(instruction(n, amount=amount))
        assert 2 == sandbox.keys.resets


async def test_keys_are_exchanged_anew_when_every_connection_was_lost(place: Place) -> None:
    async with connected(place, sandbox=BY_BANK, **BY_US) as (connector, sandbox):
        await connector.deliver(instruction(1))
        sandbox.cut()
        await until(lambda: not connector._pool.usable)
        await connector.deliver(instruction(2))
        assert 4 == sandbox.keys.resets


async def test_with_given_keys_a_row_of_wrong_ones_changes_nothing(place: Place) -> None:
    async with connected(place) as (connector, _):
        for n in range(1, 5):
            assert "A0" == (await connector.deliver(instruction(n, amount=9800))).code
        assert Verdict.APPROVED is (await connector.deliver(instruction(5))).verdict
