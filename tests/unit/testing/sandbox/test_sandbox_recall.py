"""A sandbox back end that was killed knows all it ever decided when it starts again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tallystick.runtime import SystemClock
from tallystick.testing.sandbox.http_failures import Failure
from tallystick.testing.sandbox.ledger import NOT_LOOKED_AT, Ledger, Standing
from tallystick.testing.sandbox.record import Entry, Record, read
from tallystick.testing.sandbox.unionpay_config import Card, SandboxConfig
from tallystick.testing.sandbox.unionpay_issuer import Code, Issuer
from tallystick.testing.sandbox.unionpay_magic import Magic

CARD = "6250947000000014"
DE90 = "0200{stan}11291200000004802000000048020000"
CONFIG = SandboxConfig(cert="", key="", ca="", cards={CARD: Card()})
KEYS: Any = SimpleNamespace()


def request(stan: str, amount: int = 1_000) -> dict[str, str]:
    return {
        "t": "0200",
        "2": CARD,
        "4": f"{amount:012}",
        "7": "1129120000",
        "11": stan,
        "32": "48020000",
        "33": "48020000",
        "37": f"633312{stan}",
    }


def reversal(stan: str, amount: int = 1_000) -> dict[str, str]:
    return {**request(stan, amount), "t": "0420", "90": DE90.format(stan=stan)}


def issuer(path: Path) -> Issuer:
    return Issuer(CONFIG, KEYS, Record(path), SystemClock())


def test_an_issuer_started_again_repeats_and_undoes_what_it_decided_and_refuses_what_was_reversed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "record.jsonl"
    before = issuer(path)
    assert Code.APPROVED == before.authorise(request("000001"), Magic())
    assert Code.APPROVED == before.authorise(request("000002"), Magic())
    assert Code.APPROVED == before.reverse(reversal("000002"))
    assert Code.NOT_FOUND == before.reverse(reversal("000003"))
    assert "51" == before.authorise(request("000004"), Magic(code="51"))

    after = issuer(path)
    assert [Code.APPROVED, Code.NOT_FOUND, Code.NOT_FOUND, "51"] == [
        after.authorise(request(f"00000{number}"), Magic()) for number in range(1, 5)
    ]
    assert (Code.APPROVED, "A00") == after.inquire(reversal("000001"))
    assert Code.APPROVED == after.reverse(reversal("000001"))
    assert [True, True] == [entry["effective"] for entry in read(path) if entry["effective"]]
    assert 2 == sum(entry["undone"] is True for entry in read(path))


def test_a_ledger_recalls_decisions_reversals_and_what_is_pending() -> None:
    def entry(key: str, outcome: str, kind: str = "authorisation", amount: int = 1_000) -> Entry:
        approved = outcome == "approved"
        return {
            "kind": kind,
            "payment_key": key,
            "amount": amount,
            "currency": "CNY",
            "outcome": outcome,
            "code": "00" if approved else "51",
            "effective": approved,
        }

    ledger = Ledger(approved="00", declined="51")
    ledger.recall(
        [
            {"kind": "health", "outcome": "answered"},
            entry("paid", "approved"),
            entry("paid", "declined"),
            entry("no", "declined"),
            entry("undone", "approved"),
            {"kind": "reversal", "payment_key": "undone", "outcome": "reversed"},
            {"kind": "reversal", "payment_key": "early", "outcome": "reversed"},
            entry("early", "declined"),
            entry("never", NOT_LOOKED_AT),
            entry("lost", Failure.LOST),
            entry("held", "pending", amount=19_913),
            entry("decided", "pending", amount=19_913),
            entry("decided", "approved", "decision"),
            entry("firm", "pending", amount=19_912),
            {"kind": "reversal", "payment_key": "firm", "outcome": "refused"},
        ],
        "21",
    )
    standings = {
        key: found.standing
        for key in ("paid", "no", "undone", "early", "held", "decided", "firm")
        if (found := ledger.find(key))
    }
    assert {
        "paid": Standing.APPROVED,
        "no": Standing.DECLINED,
        "undone": Standing.REVERSED,
        "early": Standing.REVERSED,
        "held": Standing.PENDING,
        "decided": Standing.APPROVED,
        "firm": Standing.PENDING,
    } == standings
    assert (None, None) == (ledger.find("never"), ledger.find("lost"))
    assert ["held", "firm"] == ledger.pending()
    _, moved = ledger.enter("paid", b"any", "00", amount=1_000, currency="CNY", failure=None)
    assert not moved


def test_a_line_that_a_kill_tore_is_cut_off_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b'{"kind":"first"}\n{"kind":"to')
    book = Record(path)
    assert [{"kind": "first"}] == book.entries
    book.append({"kind": "second"})
    book.close()
    assert [{"kind": "first"}, {"kind": "second"}] == read(path)
