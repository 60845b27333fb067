"""A sealed value is found by its key wherever it lies, whole or not, and by no other key."""

from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto import box
from tallystick.crypto.openings import CHUNK_BYTES, openings

KEY, OTHER = b"k" * 32, b"o" * 32
START = b'{"fields":'
PART = box.seal(KEY, START + b'{"pan":"4242424242424242"}}', b"context")
CARD = box.seal(KEY, b"4242424242424242", b"another context")


def found(data: bytes, *keys: bytes) -> list[int]:
    return list(openings(data, keys or (OTHER, KEY), start=START, digits=12))


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from([PART, CARD]))
def test_a_sealed_value_is_found_at_any_offset_without_its_context_or_length(
    before: bytes, after: bytes, sealed: bytes
) -> None:
    assert [len(before)] == found(before + sealed + after)
    assert [] == found(before + sealed + after, OTHER)


def test_the_beginning_of_a_value_whose_end_was_overwritten_is_found_too() -> None:
    assert [3] == found(b"xyz" + PART[:30])


def test_a_value_across_two_chunks_is_found_once() -> None:
    for at in (CHUNK_BYTES - 30, CHUNK_BYTES - 10, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1):
        assert [at] == found(bytes(at) + PART + bytes(50))


def test_what_is_shorter_than_a_block_or_begins_otherwise_is_none() -> None:
    assert [] == found(b"")
    assert [] == found(PART[:27])
    assert [] == found(box.seal(KEY, b"42424242424 or so", b""))
    assert [] == found(box.seal(KEY, b"  " + START + b"{}}", b""))
