"""No value under a long-lived key escapes the count that a key's destruction rests on."""

from pathlib import Path

from tallystick.adapters.store.sqlite_kept import WHERE
from tallystick.adapters.store.sqlite_open import connect
from tallystick.security.kept import USES, Kept

UNDER_NO_LONG_LIVED_KEY = {
    "answer.body": "under the key that its fingerprint names",
    "part.sealed": "under an epoch key",
    "intent.account": "under a recovery key",
    "intent.digest": "written once, never compared",
    "credential.sealed": "under the payer's record key",
    "payer.salt": "no secret",
    "webhook.body": "thin facts, in clear",
    "enrolment.csr": "public",
    "enrolment.chain": "public",
    "capability.device": "digest of 128 random bits",
    "capability.network": "compared within one payment; under another key it counts as the same network",
    "audit.hash": "a chain without a key",
    "audit_checkpoint.hash": "a chain without a key",
    "audit_checkpoint.signature": "verified by the public half, which is kept for ever",
    "anchor.bundle": "public certificates",
    "pin_token.record": "under a key of the PIN process",
    "tally.subject": "counted for one window; a count begins anew under another key",
    "sign_up.sealed": "under an epoch key",
    "proposal.record": "covered by the row's MAC",
}


def test_every_column_of_bytes_is_counted_or_under_no_long_lived_key(tmp_path: Path) -> None:
    """When this fails: add the column to `Kept`, `USES` and `WHERE`, or say above why it needs no key of the ring."""
    db = connect(tmp_path / "store.db")
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {
        f"{t}.{name}" for t in tables for _, name, kind, *_ in db.execute(f"PRAGMA table_info({t})") if kind == "BLOB"
    }
    db.close()
    counted = {f"{at.table}.{column}" for at in WHERE.values() for column in at.columns}
    assert columns == counted | UNDER_NO_LONG_LIVED_KEY.keys()
    assert counted.isdisjoint(UNDER_NO_LONG_LIVED_KEY)


def test_every_kind_says_the_purpose_of_each_of_its_values() -> None:
    assert set(Kept) == WHERE.keys() == USES.keys()
    assert all(len(USES[kind]) == len(WHERE[kind].columns) for kind in Kept)
