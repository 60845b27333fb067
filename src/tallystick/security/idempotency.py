"""Replays refused, retries answered alike (design: messages; expectations I5, I9).

A retry carries the same Idempotency-Key and the same content, sealed and signed anew with a fresh nonce. The content is
compared by a digest under the at-rest key of an epoch, so that the comparison dies with the content itself. The answer
is kept sealed under the same key: that to a created payment holds the code its parts will carry.
"""

import hmac
from collections.abc import Awaitable, Callable

from tallystick import limits
from tallystick.crypto import box, kdf
from tallystick.crypto.binding import bind
from tallystick.errors import IdempotencyMismatch, KeyUnknown
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer
from tallystick.security.ports import EpochKeys, ReplayBook
from tallystick.security.verify import Verified

_COMPARE = "idempotency"
_KEEP = "kept answer"


async def answer_once(
    book: ReplayBook,
    keys: EpochKeys,
    verified: Verified,
    content: bytes,
    now: Millis,
    act: Callable[[], Awaitable[bytes]],
) -> bytes:
    """Use up the nonce, then act and keep the answer, or give a retry the earlier one; inside the caller's transaction.

    `content` is all that a retry must repeat: the opened content and, bound before it, what it is asked of (the
    address, the created payment). `{}` to one address is not `{}` to another.

    1. A nonce is used once: Replayed.
    2. The same Idempotency-Key means the same content: IdempotencyMismatch, also when the earlier one can no longer be
       compared.
    """
    # 1.
    await book.remember_nonce(verified.sender, verified.nonce, Millis(now + limits.NONCE_KEPT_MS))
    # 2.
    stored = await book.stored_answer(verified.sender, verified.idempotency_key)
    if stored is not None:
        key = keys.key(_compare(keys, stored, content))
        return box.unseal(kdf.derive(key, _KEEP), stored.body, _place(verified))
    body = await act()
    epoch = keys.current(now)
    sealed = box.seal(kdf.derive(keys.key(epoch), _KEEP), body, _place(verified))
    answer = StoredAnswer(fingerprint=_fingerprint(keys, epoch, content), body=sealed)
    await book.keep_answer(verified.sender, verified.idempotency_key, answer, Millis(now + limits.EPOCH_KEPT_MS))
    return body


def _fingerprint(keys: EpochKeys, epoch: str, content: bytes) -> bytes:
    """Digest a message's content under a key that will be destroyed with the epoch."""
    mac = hmac.digest(kdf.derive(keys.key(epoch), _COMPARE), content, "sha256")
    return epoch.encode() + b"." + mac


def _place(verified: Verified) -> bytes:
    return bind("answer", verified.sender, verified.idempotency_key)


def _compare(keys: EpochKeys, stored: StoredAnswer, content: bytes) -> str:
    """Return the epoch of a kept answer to the same content."""
    epoch = stored.fingerprint.partition(b".")[0].decode()
    try:
        again = _fingerprint(keys, epoch, content)
    except KeyUnknown as error:
        raise IdempotencyMismatch("this Idempotency-Key is too old to be repeated") from error
    if not hmac.compare_digest(again, stored.fingerprint):
        raise IdempotencyMismatch("this Idempotency-Key was used with a different content")
    return epoch
