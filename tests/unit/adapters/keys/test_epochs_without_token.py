"""At-rest keys of parts when what protects key files does not answer."""

from pathlib import Path

import pytest

from tallystick import limits
from tallystick.adapters.keys.epochs import REFUSED_MS, FileEpochKeys
from tallystick.errors import Misconfigured, Unavailable
from tallystick.runtime import Millis, SystemRandomness

NOW = Millis(1_767_268_812_345)
NEXT = Millis(NOW + limits.EPOCH_MS)


class Token:
    """A wrapper whose token can be pulled out; it counts how often it was asked to wrap."""

    def __init__(self) -> None:
        self.there = True
        self.asked = 0

    def wrap(self, content: bytes, context: bytes) -> bytes:
        self.asked += 1
        if not self.there:
            raise Misconfigured("the token did not do what it was asked for")
        return b"w" + content

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        return wrapped[1:]


@pytest.fixture
def token() -> Token:
    return Token()


@pytest.fixture
def keys(tmp_path: Path, token: Token) -> FileEpochKeys:
    return FileEpochKeys(tmp_path / "epochs", SystemRandomness(), wrapper=token)


def test_parts_are_refused_for_now_once_a_key_cannot_be_made_and_what_is_there_stays_readable(
    keys: FileEpochKeys, token: Token
) -> None:
    epoch = keys.current(NOW)
    token.there = False
    assert epoch == keys.current(NOW)
    with pytest.raises(Unavailable):
        keys.current(NEXT)
    assert 32 == len(keys.key(epoch).secret)


def test_a_token_that_is_away_is_not_asked_for_each_part(keys: FileEpochKeys, token: Token) -> None:
    token.there = False
    for later in range(0, REFUSED_MS, 500):
        with pytest.raises(Unavailable):
            keys.current(Millis(NOW + later))
    assert 1 == token.asked
    token.there = True
    assert keys.current(Millis(NOW + REFUSED_MS)).startswith("ep_")


def test_a_clock_that_is_set_back_does_not_lengthen_the_wait(keys: FileEpochKeys, token: Token) -> None:
    token.there = False
    with pytest.raises(Unavailable):
        keys.current(NEXT)
    token.there = True
    assert keys.current(NOW).startswith("ep_")


def test_no_unfinished_file_is_left_behind(keys: FileEpochKeys, token: Token, tmp_path: Path) -> None:
    token.there = False
    with pytest.raises(Unavailable):
        keys.current(NOW)
    assert [] == list((tmp_path / "epochs").iterdir())
