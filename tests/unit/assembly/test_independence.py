"""Did two parts come by different ways?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.assembly.independence import MOMENT_MS, SCORE_MAX, Way, needed, require_independence, score
from tallystick.assembly.model import PartFacts
from tallystick.channels.model import Capability, CapabilityState, PageKind
from tallystick.config import IndependenceStep
from tallystick.crypto.versioned import VersionedKey, digest
from tallystick.errors import NotIndependent
from tallystick.runtime import Millis
from tallystick.testing.memory_capabilities import MemoryCapabilities

STEPS = (
    IndependenceStep(score=1),
    IndependenceStep(score=3, amount=100_000, currency="CNY"),
    IndependenceStep(score=2, amount=10_000),
)
ways = st.builds(
    Way,
    page=st.booleans(),
    device=st.sampled_from("ab"),
    network=st.sampled_from([b"n", b"m"]),
    at=st.integers(0, 5_000).map(Millis),
)


def way(**facts: Any) -> Way:
    return Way(**{"page": True, "device": "a", "network": b"home", "at": Millis(0), **facts})


def part(part_id: str, certificate: str, fields: str, at: int) -> PartFacts:
    return PartFacts(
        id=part_id,
        payment_id="pay_1",
        channel_id=f"channel of {part_id}",
        certificate=certificate,
        fields=frozenset({fields}),
        received_at=Millis(at),
    )


async def book(**networks: bytes) -> MemoryCapabilities:
    """Return a book in which each named device started a page on a network."""
    made = MemoryCapabilities([])
    for device, network in networks.items():
        await made.add_capability(
            Capability(
                id=f"cap of {device}",
                payment_id="pay_1",
                kind=PageKind.PC,
                sealed_key=b"",
                issued_at=Millis(0),
                expires_at=Millis(9),
                state=CapabilityState.STARTED,
                device=device.encode(),
                network=network,
            )
        )
    return made


@pytest.mark.parametrize(
    ("amount", "currency", "least"),
    [
        (1, "CNY", 1),
        (9_999, "CNY", 1),
        (10_000, "EUR", 2),
        (99_999, "CNY", 2),
        (100_000, "CNY", 3),
        (100_000, "EUR", 2),
    ],
)
def test_the_strictest_step_that_applies_counts(amount: int, currency: str, least: int) -> None:
    assert least == needed(STEPS, amount, currency)
    assert 0 == needed((), amount, currency)


@pytest.mark.parametrize(
    ("other", "points"),
    [
        (way(), 0),
        (way(device="b"), 1),
        (way(device="b", at=MOMENT_MS), 2),
        (way(device="b", network=b"mobile", at=MOMENT_MS), 3),
        (way(page=False, device="b", network=b"bank", at=MOMENT_MS), SCORE_MAX),
        (way(device="b", at=MOMENT_MS - 1), 1),
    ],
)
def test_each_fact_counts_once(other: Way, points: int) -> None:
    assert points == score(way(), other)


@given(ways, ways)
def test_a_score_is_the_same_from_both_sides_and_within_its_bounds(one: Way, other: Way) -> None:
    assert score(one, other) == score(other, one)
    assert 0 <= score(one, other) <= SCORE_MAX
    assert 0 == score(one, one)


async def test_two_pages_on_one_network_are_enough_for_little_and_not_for_much() -> None:
    pages = await book(laptop=b"home", phone=b"home")
    earlier = [part("1", b"laptop".hex(), "account", 0)]
    second = part("2", b"phone".hex(), "secret", 5_000)
    await require_independence(pages, second, earlier, 2)
    with pytest.raises(NotIndependent):
        await require_independence(pages, second, earlier, 3)


async def test_a_phone_on_another_network_or_a_bank_app_is_enough_for_much() -> None:
    pages = await book(laptop=b"home", phone=b"mobile")
    earlier = [part("1", b"laptop".hex(), "account", 0)]
    await require_independence(pages, part("2", b"phone".hex(), "secret", 5_000), earlier, 3)
    await require_independence(pages, part("3", "c0ffee", "secret", 5_000), earlier, 4)


async def test_gateways_alone_and_rivals_are_not_judged() -> None:
    pages = await book(laptop=b"home", phone=b"home")
    await require_independence(pages, part("2", "c0ffee", "secret", 0), [part("1", "cafe", "account", 0)], 4)
    rival = part("3", b"phone".hex(), "account", 0)
    await require_independence(pages, rival, [part("1", b"laptop".hex(), "account", 0)], 4)


def test_networks_under_different_keys_cannot_be_told_apart_and_earn_no_point() -> None:
    """A rotation between the two pages of a payment must not make one network look like two."""
    old, new = VersionedKey(1, bytes(32)), VersionedKey(2, bytes(31) + b"2")
    home = way(network=digest(old, "192.0.2.0/24"))
    assert score(home, home) == score(home, way(network=digest(new, "192.0.2.0/24")))
    assert score(home, home) + 1 == score(home, way(network=digest(old, "198.51.100.0/24")))
