"""Shares join to the whole on the platform, and all but one of them say nothing about it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.assembly.content import PartValues, decode_share, merge
from tallystick.assembly.facts import CredentialKind
from tallystick.assembly.model import SplitPolicy
from tallystick.assembly.policy import share_field
from tallystick.errors import FieldInvalid
from tallystick.runtime import SystemRandomness
from tallystick.sdk.shares import SHARE_STEP, split_shares
from tallystick.secret import Secret
from tallystick.wire.part import WireShare

CARD = {"pan": Secret("6212142600000000043"), "expiry": Secret("3012")}
secrets = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=limits.PASSWORD_MAX)
counts = st.integers(2, limits.PARTS_MAX)


class Given:
    """Randomness that gives the masks of a test."""

    def __init__(self, masks: list[bytes]) -> None:
        self.masks = masks

    def token(self, size: int) -> bytes:
        mask = self.masks.pop(0)
        assert size == len(mask)
        return mask

    def below(self, bound: int) -> int:
        raise NotImplementedError


def join(shares: list[WireShare]) -> dict[str, Secret]:
    policy = SplitPolicy(name="s", kind=CredentialKind.ACCOUNT, shares=len(shares))
    return merge(policy, [PartValues(fields={share_field(share.index): share.data}) for share in shares])


def clear(fields: dict[str, Secret]) -> bytes:
    return msgspec.json.encode({name: value.reveal() for name, value in fields.items()}).ljust(SHARE_STEP)


def mixed(*texts: bytes) -> bytes:
    whole = 0
    for text in texts:
        whole ^= int.from_bytes(text)
    return whole.to_bytes(len(texts[0]))


@given(secrets, counts)
def test_all_shares_together_give_the_credential(secret: str, count: int) -> None:
    fields = {"account": Secret("wallet:ann"), "secret": Secret(secret)}
    assert fields == join(split_shares(fields, count, SystemRandomness()))


@given(counts, st.data())
def test_any_set_short_of_one_share_fits_every_other_credential_as_well(count: int, data: st.DataObject) -> None:
    other = {"pan": Secret("4111111111111111")}
    masks = [data.draw(st.binary(min_size=SHARE_STEP, max_size=SHARE_STEP)) for _ in range(count - 1)]
    missing = data.draw(st.integers(1, count))
    seen = split_shares(CARD, count, Given(masks.copy()))
    if missing < count:
        masks[missing - 1] = mixed(masks[missing - 1], clear(CARD), clear(other))
    same = split_shares(other, count, Given(masks))
    del seen[missing - 1], same[missing - 1]
    assert seen == same


def test_the_length_of_a_share_does_not_follow_that_of_the_values() -> None:
    short, long = (
        split_shares({"pan": Secret("4" * digits)}, 2, SystemRandomness())[0]
        for digits in (limits.PAN_MIN, limits.PAN_MAX)
    )
    assert len(short.data) == len(long.data)
    assert len(decode_share(short.data.reveal())) == SHARE_STEP


def test_indexes_run_from_one() -> None:
    assert [share.index for share in split_shares(CARD, 3, SystemRandomness())] == [1, 2, 3]


@pytest.mark.parametrize("count", [-1, 0, 1, limits.PARTS_MAX + 1])
def test_a_number_of_shares_that_is_no_split_is_refused(count: int) -> None:
    with pytest.raises(FieldInvalid):
        split_shares(CARD, count, SystemRandomness())
