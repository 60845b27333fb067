"""The blast radius of a theft: which credentials, and which halves of them, a thief can read.

It is computed from what the store records of parts, from the times for which keys live, and from the split policies;
nothing is opened. Where the record does not tell, the answer is the larger one (docs/howto/blast-radius.md).
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from tallystick.assembly import policy as policies
from tallystick.assembly.model import SplitPolicy
from tallystick.runtime import Millis


class Held(Struct, frozen=True, kw_only=True):
    """One part, or a card number kept for a reversal, as the record tells: `fields` are names, never values.

    It lies sealed under `epoch` from `since` to `until` (None: still), and that key is destroyed at `key_until`.
    """

    payment: str
    policy: str
    channel: str
    fields: frozenset[str]
    since: Millis
    until: Millis | None
    epoch: str
    key_until: Millis


class Theft(Struct, frozen=True, kw_only=True):
    """What a thief has. `epochs` None means all that were alive; `traffic` are times whose opening key was stolen.

    `node` is the platform's machine as its owner sees it: the store, every key, and the memory of the process.
    """

    at: Millis
    channels: frozenset[str] = frozenset()
    database: bool = False
    epochs: frozenset[str] | None = frozenset()
    traffic: tuple[tuple[Millis, Millis], ...] = ()
    node: bool = False


class Exposed(Struct, frozen=True, kw_only=True):
    """One credential of which a thief reads something; `usable` when that is all of it."""

    payment: str
    policy: str
    halves: tuple[tuple[str, ...], ...]
    usable: bool


def exposed(held: Iterable[Held], theft: Theft, table: Mapping[str, SplitPolicy]) -> list[Exposed]:
    """Return each credential that a theft exposes, with the halves, by payment.

    1. A stolen channel shows what payers type there from then on, and what they typed and is still under way.
    2. A stolen store shows what is sealed in it only together with the epoch's key, while that key lives.
    3. A stolen opening key shows what was sent while it opened, to who also recorded the traffic inside of TLS.
    4. A stolen node is a stolen store with every key.
    A credential is usable when the halves read make a whole by its policy; a policy nobody knows any more counts whole.
    """
    read: dict[str, list[Held]] = {}
    for part in held:
        if _typed(part, theft) or _opens(part, theft) or _recorded(part, theft):
            read.setdefault(part.payment, []).append(part)
    return [_credential(payment, parts, table) for payment, parts in sorted(read.items())]


def _typed(part: Held, theft: Theft) -> bool:
    # 1.
    return part.channel in theft.channels and (part.until is None or theft.at < part.until)


def _opens(part: Held, theft: Theft) -> bool:
    # 2. and 4.
    if not (theft.node or theft.database):
        return False
    there = part.since <= theft.at and (part.until is None or theft.at < part.until) and theft.at < part.key_until
    return there and (theft.node or theft.epochs is None or part.epoch in theft.epochs)


def _recorded(part: Held, theft: Theft) -> bool:
    # 3.
    return any(begin <= part.since < end for begin, end in theft.traffic)


def _credential(payment: str, parts: list[Held], table: Mapping[str, SplitPolicy]) -> Exposed:
    policy = table.get(parts[0].policy)
    filed = [part.fields for part in parts]
    return Exposed(
        payment=payment,
        policy=parts[0].policy,
        halves=tuple(sorted({tuple(sorted(fields)) for fields in filed})),
        usable=policy is None or policies.is_complete(policy, filed),
    )
