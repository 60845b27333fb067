"""Laws of shared keys: any m shares give the key, m - 1 leave every key as likely as before."""

from random import Random

from Crypto.Protocol.SecretSharing import Shamir
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.crypto.key_shares import HALF_BYTES, combine, parse, split

FEW = settings(max_examples=25)  # the library's field is written in Python: a millisecond for each product
KEYS = st.binary(min_size=32, max_size=32)


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(st.integers(2, 7))
    return draw(st.integers(2, total)), total


@FEW
@given(key=KEYS, size=sizes(), order=st.randoms(use_true_random=False))
def test_any_m_shares_in_any_order_give_the_key(key: bytes, size: tuple[int, int], order: Random) -> None:
    threshold, total = size
    shares = [parse(share.text()) for share in split(key, threshold, total, bytes(8))]
    order.shuffle(shares)
    assert key == combine(shares[:threshold])


@FEW
@given(key=KEYS, guess=KEYS, size=sizes())
def test_to_those_who_have_one_share_too_few_every_key_is_possible_by_exactly_one_missing_share(
    key: bytes, guess: bytes, size: tuple[int, int]
) -> None:
    """Whatever is guessed, one missing share would give it: as that share is uniform, so is the key."""
    threshold, total = size
    shares = split(key, threshold, total, bytes(8))
    known, missing = shares[: threshold - 1], shares[threshold - 1].number
    for at in (0, HALF_BYTES):
        half = slice(at, at + HALF_BYTES)
        points = [(share.number, share.value[half]) for share in known]
        # The polynomial through the known shares and (0, guess), at the missing share's place, which becomes 0 by xor.
        fitting = Shamir.combine([(missing, guess[half]), *((number ^ missing, value) for number, value in points)])
        assert guess[half] == Shamir.combine([*points, (missing, fitting)])
        assert (fitting == shares[threshold - 1].value[half]) == (guess[half] == key[half])


@FEW
@given(key=KEYS)
def test_shares_of_one_key_never_repeat(key: bytes) -> None:
    values = [share.value for _ in range(4) for share in split(key, 3, 4, bytes(8))]
    assert len(values) == len(set(values))
