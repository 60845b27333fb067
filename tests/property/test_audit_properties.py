"""Whatever is done to a chain or its checkpoints, verifying finds it; an untouched chain is whole."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tallystick.audit.chain import chained, link
from tallystick.audit.checkpoints import SLACK_MS, SigningKey, statement
from tallystick.audit.model import START, Checkpoint, Entry, Head, Link
from tallystick.audit.verify import Fault, Verifying
from tallystick.crypto.signing import Ed25519Private
from tallystick.runtime import Millis

KEY, OTHER = Ed25519Private.from_raw(bytes(32)), Ed25519Private.from_raw(bytes(31) + b"\1")
LENGTH = 12


def chain_of(length: int, flavour: str = "") -> list[Link]:
    head, links = START, []
    for seq in range(1, length + 1):
        entry = Entry(seq, Millis(1_000 + seq), "system", "part.accepted", "done", (f"pay_{seq}{flavour}",), {"n": seq})
        links.append(link(head, entry))
        head = Head(seq, links[-1].hash)
    return links


CHAIN = chain_of(LENGTH)


def signed(links: list[Link], seq: int, key: Ed25519Private = KEY) -> Checkpoint:
    head, at = Head(seq, links[seq - 1].hash), Millis(9_000 + seq)
    return Checkpoint(seq=seq, hash=head.hash, at=at, signature=key.sign(statement(head, at)))


MARKS = [signed(CHAIN, seq) for seq in (5, LENGTH)]


def faults(links: list[Link], marks: list[Checkpoint] = MARKS) -> list[Fault]:
    verifying = Verifying(marks, [SigningKey(KEY.public())])
    for each in links:
        verifying.add(each)
    return verifying.finish()


def changed(links: list[Link], at: int, byte: int, bit: int) -> list[Link]:
    """Flip a bit of an entry and leave its hash."""
    body = bytearray(links[at].body)
    body[byte % len(body)] ^= 1 << bit
    return [*links[:at], replace(links[at], body=bytes(body)), *links[at + 1 :]]


def renewed(links: list[Link], at: int) -> list[Link]:
    """Change an entry and compute all hashes from there on anew, as who owns the store can."""
    before = links[at - 1].hash if at else START.hash
    made = links[:at]
    for each in links[at:]:
        body = each.body.replace(b"pay_", b"PAY_") if each is links[at] else each.body
        made.append(replace(each, body=body, hash=chained(before, body)))
        before = made[-1].hash
    return made


def removed(links: list[Link], at: int) -> list[Link]:
    return [*links[:at], *links[at + 1 :]]


def closed_up(links: list[Link], at: int) -> list[Link]:
    """Remove an entry and number those behind it anew, with hashes to match."""
    rest = [replace(each, seq=each.seq - 1) for each in links[at + 1 :]]
    return renewed([*links[:at], *rest], min(at, len(links) - 2))


def swapped(links: list[Link], at: int) -> list[Link]:
    other = (at + 1) % len(links)
    mixed = list(links)
    mixed[at], mixed[other] = links[other], links[at]
    return mixed


def inserted(links: list[Link], at: int) -> list[Link]:
    return [*links[:at], links[at - 1], *links[at:]]


def cut(links: list[Link], at: int) -> list[Link]:
    return links[:at]


TAMPERING: list[Callable[[list[Link], int], list[Link]]] = [renewed, removed, closed_up, swapped, inserted, cut]


def test_an_untouched_chain_is_whole() -> None:
    assert [] == faults(CHAIN)
    assert [] == faults(chain_of(LENGTH + 3)[:LENGTH])
    assert [] == faults([], [])


def test_a_chain_longer_than_its_newest_checkpoint_is_whole_and_proven_up_to_it() -> None:
    verifying = Verifying(MARKS[:1], [SigningKey(KEY.public())])
    for each in CHAIN:
        verifying.add(each)
    assert [] == verifying.finish()
    assert (5, LENGTH) == (verifying.proven, verifying.entries)


@given(at=st.integers(0, LENGTH - 1), how=st.sampled_from(TAMPERING))
def test_whatever_is_done_to_entries_before_a_checkpoint_is_found(
    at: int, how: Callable[[list[Link], int], list[Link]]
) -> None:
    assert faults(how(CHAIN, at))


@given(at=st.integers(0, LENGTH - 1), byte=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_every_bit_of_an_entry_counts_even_without_a_checkpoint(at: int, byte: int, bit: int) -> None:
    assert at + 1 == min(fault.seq for fault in faults(changed(CHAIN, at, byte, bit), []))


@given(steps=st.lists(st.tuples(st.integers(0, LENGTH - 2), st.sampled_from(TAMPERING)), min_size=1, max_size=4))
def test_several_acts_together_are_found_unless_they_give_the_same_chain_again(
    steps: list[tuple[int, Callable[[list[Link], int], list[Link]]]],
) -> None:
    links = CHAIN
    for at, how in steps:
        if len(links) > at + 1:
            links = how(links, at)
    assert bool(faults(links)) == (links != CHAIN)


def test_a_whole_chain_of_somebody_else_is_found() -> None:
    assert ["the chain differs from this checkpoint: it was computed anew"] * 2 == [
        fault.what for fault in faults(chain_of(LENGTH, "x"))
    ]


def test_a_checkpoint_of_another_key_or_time_is_found() -> None:
    forged = chain_of(LENGTH, "x")
    for mark in (signed(forged, LENGTH, OTHER), replace(MARKS[1], at=Millis(1)), replace(MARKS[1], hash=bytes(32))):
        assert "no key of the platform signed this checkpoint" in {fault.what for fault in faults(CHAIN, [mark])}


def test_without_a_checkpoint_a_cut_end_and_a_new_chain_go_unnoticed_which_is_why_there_are_checkpoints() -> None:
    assert [] == faults(cut(CHAIN, 4), [])
    assert [] == faults(renewed(CHAIN, 4), [])


def test_a_checkpoint_counts_only_under_a_key_that_signed_at_its_time() -> None:
    [mark] = marks = [signed(CHAIN, LENGTH)]
    for since, until, expected in (
        (mark.at, mark.at, 0),
        (None, None, 0),
        (mark.at + SLACK_MS, None, 0),
        (mark.at + SLACK_MS + 1, None, 1),
        (0, mark.at - SLACK_MS, 0),
        (0, mark.at - SLACK_MS - 1, 1),
    ):
        times = [None if time is None else Millis(time) for time in (since, until)]
        verifying = Verifying(marks, [SigningKey(KEY.public(), *times)])
        for each in CHAIN:
            verifying.add(each)
        assert expected == len(verifying.finish())
