"""A store filled for a benchmark holds what real payments would have left."""

import sqlite3
from pathlib import Path

from bench import fill

from tallystick.adapters.store.sqlite_open import connect

FAR = 2_000_000_000_000


def one_ended_payment(path: Path) -> None:
    db = connect(path)
    db.execute(
        """INSERT INTO payment (id, policy, element_kind, element_digest, claimed, opened_at, expires_at, state, fate,
        contested, allowed, back_end, response_code, updated_at)
        VALUES ('pay_a', 'card', 'phone', x'01', 1, 1, 2, 'approved', 'joined', 0, '[]', '1', '00', 3)"""
    )
    for half in "bc":
        db.execute(
            """INSERT INTO part (id, payment_id, channel_id, certificate, fields, received_at, rival, epoch)
            VALUES (?, 'pay_a', 'ch_1', 'cert', '[]', 1, 0, 'ep_1')""",
            (f"part_{half}",),
        )
    db.execute(
        """INSERT INTO intent (payment_id, n, back_end, stan, rrn, key, at, table_version, digest, state)
        VALUES ('pay_a', 2, '1', '000001', '1', 'req', 1, 1, x'02', 'approved')"""
    )
    db.execute("INSERT INTO event (payment_id, state, at, first) VALUES ('pay_a', 'approved', 1, 1)")
    db.execute("INSERT INTO audit (seq, body, hash) VALUES (1, '[1]', x'03')")
    db.close()


def test_finished_and_open_payments_are_added_in_batches_with_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    one_ended_payment(path)
    fill.fill(path, finished=50, opened=0, expires=FAR)
    fill.fill(path, finished=200, opened=120, expires=FAR)

    db = connect(path)
    count = dict(db.execute("SELECT state, count(*) FROM payment GROUP BY state"))
    assert {"approved": 251, "half": 120} == count
    assert (251 * 2 + 120, 120) == db.execute("SELECT count(*), count(sealed) FROM part").fetchone()
    assert 251 == db.execute("SELECT count(*) FROM intent").fetchone()[0]
    assert 251 == db.execute("SELECT count(*) FROM event").fetchone()[0]
    assert 1 + 250 * fill.ENTRIES + 120 == db.execute("SELECT max(seq) FROM audit").fetchone()[0]
    assert 251 == db.execute("SELECT seq FROM announced").fetchone()[0]
    assert [] == db.execute("PRAGMA foreign_key_check").fetchall()
    assert 120 == db.execute("SELECT count(*) FROM payment WHERE fate IS NULL AND expires_at = ?", (FAR,)).fetchone()[0]
    db.close()


def test_ids_are_spread_and_rise_so_that_every_index_is_written_in_order(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    one_ended_payment(path)
    fill.fill(path, finished=300, opened=0, expires=FAR)

    db = sqlite3.connect(path)
    ids = [id_ for (id_,) in db.execute("SELECT id FROM payment WHERE id <> 'pay_a' ORDER BY seq")]
    assert ids == sorted(ids)
    assert {f"{n:x}" for n in range(16)} == {id_[4] for id_ in ids}
    db.close()
