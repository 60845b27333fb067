"""Reversals and inquiries over real TLS: what is undone, what is known, and that never more than one effect remains."""

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from iso8583_world import Place, connected, ids, instruction, original, until
from msgspec.structs import replace

from tallystick.adapters.connectors.iso8583 import Iso8583Connector
from tallystick.delivery.model import Finding, Instruction, Known, MessageIds, Original, Recovery
from tallystick.errors import DeliveryError, NotSent, OutcomeUnknown, ReversalRefused
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.record import Entry

TRIES_MAX = 6  # sends of one reversal, until a test takes it for unacknowledged


async def doubtful(connector: Iso8583Connector, request: Instruction) -> None:
    with pytest.raises(OutcomeUnknown):
        await connector.deliver(request)


async def reversed_at_last(connector: Iso8583Connector, what: Original, own: MessageIds) -> str:
    """Reverse as the core does: the same identifiers again and again until it is acknowledged."""
    for sent in range(TRIES_MAX):
        try:
            return await connector.reverse(what, own, repeat=sent > 0)
        except ReversalRefused:
            raise
        except DeliveryError:
            continue
    raise AssertionError("the reversal was never acknowledged")


def kinds(entries: Sequence[Entry]) -> list[Any]:
    return [entry["kind"] for entry in entries]


async def test_what_a_connector_can_do_about_an_unknown_outcome_is_in_its_settings(place: Place) -> None:
    plain, asking = place.connector(1), place.connector(1, inquiry=True)

    assert frozenset({Recovery.REVERSAL}) == plain.recovery
    assert frozenset({Recovery.REVERSAL, Recovery.INQUIRY}) == asking.recovery
    assert plain.keeps_account


@pytest.mark.parametrize("kind", ["financial", "authorisation"])
@pytest.mark.parametrize("form", ["ascii", "ebcdic", "bcd"])
async def test_a_reversal_undoes_an_effective_authorisation(place: Place, kind: str, form: str) -> None:
    async with connected(place, sandbox={"format": form}, format=form, message=kind) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=19901))
        assert 1 == record.effective(sandbox.record.entries)
        code = await connector.reverse(original(1, amount=19901), ids(2), repeat=False)

    assert "00" == code
    assert 0 == record.effective(sandbox.record.entries)
    assert [False, True] == [entry["undone"] for entry in sandbox.record.entries]


@pytest.mark.parametrize(("kind", "repeated"), [("0420", "0421"), ("0400", "0401")])
async def test_a_reversal_is_repeated_under_the_same_trace_number_until_it_is_acknowledged(
    place: Place, kind: str, repeated: str
) -> None:
    async with connected(place, reversal=kind) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=19911))
        assert "00" == await reversed_at_last(connector, original(1, amount=19911), ids(2))

    assert ["0200", kind, repeated, repeated] == kinds(sandbox.record.entries)
    assert ["000002"] * 3 == [entry["stan"] for entry in sandbox.record.entries[1:]]
    assert [True, False, False] == [entry["undone"] for entry in sandbox.record.entries[1:]]
    assert 0 == record.effective(sandbox.record.entries)


async def test_a_reversal_of_what_never_arrived_is_repeated_once_and_then_taken_for_settled(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=19914))
        with pytest.raises(OutcomeUnknown, match="25"):
            await connector.reverse(original(1, amount=19914), ids(2), repeat=False)
        assert "25" == await connector.reverse(original(1, amount=19914), ids(2), repeat=True)

    assert ["0200", "0420", "0421"] == kinds(sandbox.record.entries)
    assert 0 == record.effective(sandbox.record.entries)


async def test_an_authorisation_that_arrives_after_its_reversal_has_no_effect(place: Place) -> None:
    async with connected(place, sandbox={"delay_s": 4.0}) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=19913))
        assert "25" == await reversed_at_last(connector, original(1, amount=19913), ids(2))
        await until(lambda: len(sandbox.record.entries) == 3)
        await until(lambda: connector.counts.late)

    assert ["25", "25", "reversed"] == [entry["outcome"] for entry in sandbox.record.entries]
    assert 0 == record.effective(sandbox.record.entries)


async def test_a_declined_authorisation_is_reversed_without_an_effect(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=1096))
        assert "00" == await connector.reverse(original(1, amount=1096), ids(2), repeat=False)

    assert [False, False] == [entry["undone"] for entry in sandbox.record.entries]
    assert 0 == record.effective(sandbox.record.entries)


async def test_a_second_reversal_undoes_nothing_more(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=19901))
        for own in (ids(2), ids(3)):
            assert "00" == await connector.reverse(original(1, amount=19901), own, repeat=False)

    assert [False, True, False] == [entry["undone"] for entry in sandbox.record.entries]


async def test_a_reversal_of_another_request_undoes_nothing(place: Place) -> None:
    """The reference alone is not enough: DE90 must name the same request."""
    async with connected(place) as (connector, sandbox):
        await connector.deliver(instruction(1))
        other = original(1)
        mixed = replace(other, ids=replace(other.ids, stan="000009"))
        assert "25" == await reversed_at_last(connector, mixed, ids(2))

    assert 1 == record.effective(sandbox.record.entries)


async def test_a_refused_reversal_is_for_a_person(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=19912))
        with pytest.raises(ReversalRefused):
            await connector.reverse(original(1, amount=19912), ids(2), repeat=False)

    assert 1 == record.effective(sandbox.record.entries)


async def test_a_reversal_without_the_card_number_is_for_a_person(place: Place) -> None:
    connector = place.connector(1)
    with pytest.raises(ReversalRefused):
        await connector.reverse(replace(original(), account=None), ids(2), repeat=False)


async def test_a_reversal_that_finds_no_connection_is_not_sent_and_can_be_repeated(place: Place) -> None:
    connector = place.connector(1)
    with pytest.raises(NotSent):
        await connector.reverse(original(), ids(2), repeat=False)


async def test_a_reversal_goes_out_over_a_new_connection_when_the_old_one_was_cut(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await doubtful(connector, instruction(1, amount=19904))
        assert "00" == await connector.reverse(original(1, amount=19904), ids(2), repeat=False)

    assert 0 == record.effective(sandbox.record.entries)


@pytest.mark.parametrize(
    ("amount", "known", "code"),
    [
        (1000, Known.APPROVED, "00"),
        (19901, Known.APPROVED, "00"),
        (9796, Known.APPROVED, "00"),
        (1096, Known.DECLINED, "96"),
        (1051, Known.DECLINED, "51"),
        (19914, Known.NOT_FOUND, "25"),
        (19913, Known.PENDING, None),
    ],
)
async def test_an_inquiry_tells_what_became_of_a_request(
    place: Place, amount: int, known: Known, code: str | None
) -> None:
    async with connected(place, sandbox={"delay_s": 8.0}, inquiry=True) as (connector, _):
        with contextlib.suppress(OutcomeUnknown):
            await connector.deliver(instruction(1, amount=amount))
        finding = await connector.inquire(original(1, amount=amount), ids(2))

    assert Finding(known=known, code=code) == finding


async def test_an_inquiry_after_a_reversal_tells_of_it(place: Place) -> None:
    async with connected(place, inquiry=True) as (connector, _):
        await connector.deliver(instruction(1))
        await connector.reverse(original(1), ids(2), repeat=False)
        finding = await connector.inquire(original(1), ids(3))

    assert Known.REVERSED is finding.known


async def test_an_inquiry_without_the_card_number_or_a_connection_is_not_sent(place: Place) -> None:
    connector = place.connector(1, inquiry=True)
    with pytest.raises(NotSent):
        await connector.inquire(replace(original(), account=None), ids(2))
    with pytest.raises(NotSent):
        await connector.inquire(original(), ids(2))
