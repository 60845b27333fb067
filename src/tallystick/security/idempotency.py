"""Replays refused, retries answered alike (design: messages; expectations I5, I9).

A retry carries the same Idempotency-Key and the same content, sealed and signed anew with a fresh nonce. The content is
compared by a digest under the at-rest key of an epoch, so that the comparison dies with the content itself. The answer
is kept sealed under the same key: that to a created payment holds the code its parts will carry.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from tallystick import limits
from tallystick.crypto.binding import bind
from tallystick.crypto.box import SealingKey
from tallystick.errors import IdempotencyMismatch, KeyUnknown
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer
from tallystick.security.ports import Keyring, Purpose, ReplayBook
from tallystick.security.verify import Verified

_COMPARE = "idempotency"
_KEEP = "kept answer"


class AnswerKeys(Protocol):
    """Keys under which answers are kept: those of epochs, or lasting ones (`KeyringAnswers`)."""

    def current(self, now: Millis) -> str:
        """Return the id of the key to seal under now."""
        ...

    def key(self, epoch: str) -> SealingKey:
        """Return a key by its id; raises KeyUnknown once it is destroyed."""
        ...


class KeyringAnswers:
    """Keep answers under the platform's at-rest key: for senders whose messages and answers hold no payer's secret."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def current(self, _now: Millis) -> str:
        """Return the version of the active key."""
        return str(self._keyring.active(Purpose.AT_REST).version)

    def key(self, epoch: str) -> SealingKey:
        """Return the key of a version; raises KeyUnknown."""
        if not epoch.isdecimal():
            raise KeyUnknown("this answer was kept under no key of the keyring")
        return SealingKey(self._keyring.version(Purpose.AT_REST, int(epoch)).secret).derived("answers")


def lasting_version(fingerprint: bytes) -> int | None:
    """Return the version of the at-rest key that an answer is kept under, None for one kept under an epoch's key."""
    name = fingerprint.partition(b".")[0]
    return int(name) if name.isdigit() else None


class Asked(NamedTuple):
    """What a retry must repeat: the sender, its Idempotency-Key, and the content with the address before it."""

    sender: str
    key: str
    content: bytes


class Answered(NamedTuple):
    """An answer, and whether it is the one given before."""

    body: bytes
    again: bool


async def answer_once(
    book: ReplayBook,
    keys: AnswerKeys,
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
    asked = Asked(sender=verified.sender, key=verified.idempotency_key, content=content)
    answered = await answer_again(book, keys, asked, now, Millis(now + limits.EPOCH_KEPT_MS), act)
    return answered.body


async def answer_again(
    book: ReplayBook, keys: AnswerKeys, asked: Asked, now: Millis, until: Millis, act: Callable[[], Awaitable[bytes]]
) -> Answered:
    """Act and keep the answer, or give a retry the earlier one; inside the caller's transaction.

    For senders without nonces: a copied request has no effect of its own, it gets the answer that its sender got.
    Raises IdempotencyMismatch as `answer_once` does.
    """
    place = bind("answer", asked.sender, asked.key)
    stored = await book.stored_answer(asked.sender, asked.key)
    if stored is not None:
        key = keys.key(_compare(keys, stored, asked.content))
        return Answered(body=key.derived(_KEEP).unseal(stored.body, place), again=True)
    body = await act()
    epoch = keys.current(now)
    sealed = keys.key(epoch).derived(_KEEP).seal(body, place)
    answer = StoredAnswer(fingerprint=_fingerprint(keys, epoch, asked.content), body=sealed)
    await book.keep_answer(asked.sender, asked.key, answer, until)
    return Answered(body=body, again=False)


def _fingerprint(keys: AnswerKeys, epoch: str, content: bytes) -> bytes:
    """Digest a message's content under a key that will be destroyed with the epoch."""
    return epoch.encode() + b"." + keys.key(epoch).derived(_COMPARE).mac(content)


def _compare(keys: AnswerKeys, stored: StoredAnswer, content: bytes) -> str:
    """Return the epoch of a kept answer to the same content."""
    epoch = stored.fingerprint.partition(b".")[0].decode()
    try:
        again = _fingerprint(keys, epoch, content)
    except KeyUnknown as error:
        raise IdempotencyMismatch("this Idempotency-Key is too old to be repeated") from error
    if not hmac.compare_digest(again, stored.fingerprint):
        raise IdempotencyMismatch("this Idempotency-Key was used with a different content")
    return epoch
