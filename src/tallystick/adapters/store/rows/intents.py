"""Rows of intents."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.delivery.model import Intent, IntentKind, IntentState, MessageIds


def to_row(intent: Intent) -> Row:
    """Order an intent's values as the table does."""
    return (
        intent.payment_id,
        intent.n,
        intent.back_end,
        intent.ids.stan,
        intent.ids.rrn,
        intent.ids.key,
        intent.ids.at,
        intent.table_version,
        intent.digest,
        intent.state.value,
        intent.code,
        intent.settled_at,
        intent.kind.value,
        intent.of,
        intent.tries,
        intent.due_at,
        intent.epoch,
        intent.account,
        intent.node,
    )


def from_row(row: Row) -> Intent:
    """Read an intent back."""
    payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state, code, settled_at, *rest = row
    kind, about, tries, due_at, epoch, account, node = rest
    return Intent(
        payment_id=payment_id,
        n=n,
        back_end=back_end,
        ids=MessageIds(stan=stan, rrn=rrn, key=key, at=at),
        table_version=table_version,
        digest=digest,
        kind=IntentKind(kind),
        of=about,
        state=IntentState(state),
        code=code,
        settled_at=settled_at,
        tries=tries,
        due_at=due_at,
        epoch=epoch,
        account=account,
        node=node,
    )
