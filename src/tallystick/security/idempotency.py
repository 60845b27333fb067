"""Replays refused, retries answered alike (design: messages; expectations I5, I9).

A retry carries the same Idempotency-Key and the same content, sealed and signed anew with a fresh nonce. The content is
compared by a digest under the at-rest key of an epoch, so that the comparison dies with the content itself.
"""

import hmac
from collections.abc import Awaitable, Callable

from tallystick import limits
from tallystick.crypto import kdf
from tallystick.errors import IdempotencyMismatch, KeyUnknown
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer
from tallystick.security.ports import EpochKeys, ReplayBook
from tallystick.security.verify import Verified

_PURPOSE = "idempotency"


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
        _compare(keys, stored, content)
        return stored.body
    body = await act()
    answer = StoredAnswer(fingerprint=_fingerprint(keys, keys.current(now), content), body=body)
    await book.keep_answer(verified.sender, verified.idempotency_key, answer, Millis(now + limits.EPOCH_KEPT_MS))
    return body


def _fingerprint(keys: EpochKeys, epoch: str, content: bytes) -> bytes:
    """Digest a message's content under a key that will be destroyed with the epoch."""
    mac = hmac.digest(kdf.derive(keys.key(epoch), _PURPOSE), content, "sha256")
    return epoch.encode() + b"." + mac


def _compare(keys: EpochKeys, stored: StoredAnswer, content: bytes) -> None:
    epoch = stored.fingerprint.partition(b".")[0].decode()
    try:
        again = _fingerprint(keys, epoch, content)
    except KeyUnknown as error:
        raise IdempotencyMismatch("this Idempotency-Key is too old to be repeated") from error
    if not hmac.compare_digest(again, stored.fingerprint):
        raise IdempotencyMismatch("this Idempotency-Key was used with a different content")
