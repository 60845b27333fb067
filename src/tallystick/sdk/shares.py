"""Split a whole credential into XOR shares: any number of them short of all reveals nothing of its values.

Each share goes over a different channel, under a `…-shares-n` policy.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import reduce
from operator import xor
from typing import Final

import msgspec

from tallystick import limits
from tallystick.errors import FieldInvalid
from tallystick.runtime import Randomness
from tallystick.secret import Secret
from tallystick.wire.part import WireShare

SHARES_MIN: Final = 2
SHARE_STEP: Final = 256  # bytes; JSON is padded with spaces to a multiple, so that a share's length tells little


def split_shares(fields: Mapping[str, Secret], count: int, randomness: Randomness) -> list[WireShare]:
    """Return `count` shares, indexes from 1: all but the last are random bytes, the last is the JSON XOR all others.

    `randomness` must be unpredictable: with a guessable one a single share gives the credential away. Field values are
    checked by the platform only after the join. Raises FieldInvalid for a count outside 2 to `limits.PARTS_MAX`.
    """
    if not SHARES_MIN <= count <= limits.PARTS_MAX:
        raise FieldInvalid(f"a credential is split into {SHARES_MIN} to {limits.PARTS_MAX} shares", field="share")
    clear = msgspec.json.encode({name: value.reveal() for name, value in fields.items()})
    padded = clear.ljust(-(-len(clear) // SHARE_STEP) * SHARE_STEP)
    masks = [randomness.token(len(padded)) for _ in range(count - 1)]
    last = reduce(xor, (int.from_bytes(mask) for mask in masks), int.from_bytes(padded))
    shares = [*masks, last.to_bytes(len(padded))]
    return [WireShare(index=index, data=_text(share)) for index, share in enumerate(shares, start=1)]


def _text(share: bytes) -> Secret:
    return Secret(urlsafe_b64encode(share).decode().rstrip("="))
