"""The connector and the UnionPay-style sandbox over real TLS on loopback: requests, answers, and what goes wrong."""

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from iso8583_world import AES_KEY, PAN, PAN_WITHOUT_PIN, PIN, Place, connected, instruction, until

from tallystick.delivery.model import Answer, Verdict
from tallystick.errors import NotSent, OutcomeUnknown, Unfit
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox import record
from tallystick.vault.model import AccountCredential

UNIONPAY_46: Final = {
    "ours": {"network": {"kind": "unionpay46", "destination": "00010000", "source": "48021910"}},
    "theirs": {"network": {"kind": "unionpay46", "destination": "48021910", "source": "00010000"}},
}
TPDU_5: Final = {
    "ours": {"network": {"kind": "tpdu5", "destination": "0001", "source": "0002"}},
    "theirs": {"network": {"kind": "tpdu5", "destination": "0002", "source": "0001"}},
}
TPDU_11: Final = {
    "ours": {"network": {"kind": "tpdu11", "destination": "0001", "source": "0002", "terminal": "600300310000"}},
    "theirs": {"network": {"kind": "tpdu11", "destination": "0002", "source": "0001"}},
}
NO_HEADER: Final = {"ours": {}, "theirs": {}}
VARIANTS: Final = {
    "cmac, format 0": {},
    "x9.19": {"mac": "x9.19", "mac_key": AES_KEY},
    "format 4": {"pin_format": 4, "pin_key": AES_KEY},
    "terminal MAC": {"mac": "pos-ecb", "mac_key": AES_KEY},
    "member MAC text": {"mac_text": "member", "mac": "x9.19", "mac_key": AES_KEY},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
async def test_a_right_card_and_pin_are_approved_with_an_approval_code(place: Place, variant: dict[str, Any]) -> None:
    async with connected(place, sandbox=variant, **variant) as (connector, sandbox):
        answer = await connector.deliver(instruction(7))

    assert Answer(verdict=Verdict.APPROVED, code="00", approval="000007") == answer
    (entry,) = sandbox.record.entries
    assert {
        "kind": "0200",
        "stan": "000007",
        "rrn": "000000000007",
        "amount": 1000,
        "currency": "156",
        "card": "622155••••••0000",
        "pin": "verified",
        "outcome": "00",
        "effective": True,
        "undone": False,
        "code": "00",
    } == {name: value for name, value in entry.items() if name not in {"at", "original"}}


@pytest.mark.parametrize(
    ("form", "length", "network"),
    [
        ("ascii", "ascii4", UNIONPAY_46),
        ("ascii", "binary4", NO_HEADER),
        ("ebcdic", "bcd2", NO_HEADER),
        ("ebcdic", "ascii4", UNIONPAY_46),
        ("bcd", "binary2", TPDU_5),
        ("bcd-jpos", "binary2", NO_HEADER),
        ("unionpay-pos", "binary2", TPDU_11),
    ],
)
async def test_every_way_of_writing_carries_a_payment(
    place: Place, form: str, length: str, network: dict[str, dict[str, Any]]
) -> None:
    written = {"format": form, "header": length}
    async with connected(place, sandbox={**written, **network["theirs"]}, **written, **network["ours"]) as (
        connector,
        sandbox,
    ):
        answer = await connector.deliver(instruction())

    assert Verdict.APPROVED is answer.verdict
    assert ["verified"] == [entry["pin"] for entry in sandbox.record.entries]


async def test_an_authorisation_puts_money_on_hold_by_an_0100(place: Place) -> None:
    async with connected(place, message="authorisation") as (connector, sandbox):
        answer = await connector.deliver(instruction())

    assert Verdict.APPROVED is answer.verdict
    assert [("0100", True)] == [(entry["kind"], entry["effective"]) for entry in sandbox.record.entries]


async def test_chip_data_are_passed_through_under_their_entry_mode(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        answer = await connector.deliver(instruction(chip=Secret("9F2608A1B2C3D4E5F60718")))

    assert Verdict.APPROVED is answer.verdict  # the sandbox refuses 05x without DE55, and DE55 without 05x
    assert ["00"] == [entry["outcome"] for entry in sandbox.record.entries]


@pytest.mark.parametrize(
    ("changes", "code", "elsewhere"),
    [
        ({"digits": "654321"}, "55", False),
        ({"digits": None}, "55", False),
        ({"pan": Pan("6221558812349999")}, "14", False),
        ({"expiry": Secret("2912")}, "54", False),
        ({"amount": 1051}, "51", False),
        ({"amount": 9843}, "43", False),
        ({"amount": 9892}, "92", True),
    ],
)
async def test_a_definite_refusal_is_a_decline_with_its_code(
    place: Place, changes: dict[str, Any], code: str, *, elsewhere: bool
) -> None:
    async with connected(place) as (connector, sandbox):
        answer = await connector.deliver(instruction(**changes))

    assert Answer(verdict=Verdict.DECLINED, code=code, elsewhere=elsewhere) == answer
    assert [False] == [entry["effective"] for entry in sandbox.record.entries]


async def test_a_card_without_pin_needs_none(place: Place) -> None:
    async with connected(place) as (connector, _):
        answer = await connector.deliver(instruction(pan=Pan(PAN_WITHOUT_PIN), digits=None))

    assert Verdict.APPROVED is answer.verdict


@pytest.mark.parametrize(("amount", "moved"), [(1096, False), (9868, False), (9796, True), (9768, True)])
async def test_a_malfunction_leaves_the_outcome_unknown_whether_or_not_money_moved(
    place: Place, amount: int, *, moved: bool
) -> None:
    async with connected(place) as (connector, sandbox):
        with pytest.raises(OutcomeUnknown, match=str(amount)[-2:]):
            await connector.deliver(instruction(amount=amount))

    assert int(moved) == record.effective(sandbox.record.entries)


@pytest.mark.parametrize(
    ("amount", "moved"), [(19901, True), (19911, True), (19912, True), (19910, False), (19914, False)]
)
async def test_no_answer_in_time_leaves_the_outcome_unknown(place: Place, amount: int, *, moved: bool) -> None:
    async with connected(place) as (connector, sandbox):
        with pytest.raises(OutcomeUnknown, match="in time"):
            await connector.deliver(instruction(amount=amount))

    assert int(moved) == record.effective(sandbox.record.entries)


async def test_a_slow_answer_in_time_counts(place: Place) -> None:
    async with connected(place, timeout_s=10.0) as (connector, _):
        answer = await connector.deliver(instruction(amount=19906))

    assert Verdict.APPROVED is answer.verdict


@pytest.mark.parametrize("amount", [19902, 19913], ids=["answered late", "held on the way"])
async def test_a_late_answer_is_counted_dropped_and_harms_nobody(
    place: Place, amount: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with connected(place) as (connector, sandbox):
        with pytest.raises(OutcomeUnknown):
            await connector.deliver(instruction(1, amount=amount))
        await until(lambda: connector.counts.late)
        answer = await connector.deliver(instruction(2))

    assert 1 == connector.counts.late
    assert 0 == connector.counts.unmatched + connector.counts.duplicate
    assert Verdict.APPROVED is answer.verdict
    assert 2 == record.effective(sandbox.record.entries)
    assert "late answer dropped" in caplog.text
    assert "622155••••••0000" in caplog.text
    assert PAN not in caplog.text


async def test_a_second_answer_is_counted_as_a_duplicate_and_settles_nothing(place: Place) -> None:
    async with connected(place) as (connector, _):
        answer = await connector.deliver(instruction(1, amount=19907))
        await until(lambda: connector.counts.duplicate)

    assert Verdict.APPROVED is answer.verdict
    assert (0, 1, 0) == (connector.counts.late, connector.counts.duplicate, connector.counts.unmatched)


async def test_an_answer_with_a_wrong_mac_is_not_believed_and_ends_only_its_own_request(place: Place) -> None:
    async with connected(place, timeout_s=5.0) as (connector, _):
        forged, right = await asyncio.gather(
            connector.deliver(instruction(1, amount=19903)), connector.deliver(instruction(2)), return_exceptions=True
        )

    assert isinstance(forged, OutcomeUnknown)
    assert isinstance(right, Answer)
    assert 1 == connector.counts.unauthenticated


async def test_a_message_that_the_switch_bounces_leaves_the_outcome_unknown_at_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = UNIONPAY_46["ours"], UNIONPAY_46["theirs"]
    async with connected(place, sandbox=theirs, timeout_s=30.0, **ours) as (connector, _):
        with pytest.raises(OutcomeUnknown, match="bounced"):
            await connector.deliver(instruction(1, amount=19910))
        answer = await connector.deliver(instruction(2))

    assert 1 == connector.counts.rejected
    assert Verdict.APPROVED is answer.verdict
    assert "bounced by the switch with 10001" in caplog.text
    assert PAN not in caplog.text


@pytest.mark.parametrize(
    ("amount", "moved"),
    [(19904, True), (19905, True), (19908, True), (19909, False)],
    ids=["connection cut", "garbage", "half an answer", "cut before acting"],
)
async def test_a_lost_connection_leaves_every_request_in_flight_unknown_and_is_opened_anew(
    place: Place, amount: int, *, moved: bool
) -> None:
    async with connected(place, timeout_s=5.0) as (connector, sandbox):
        silent = asyncio.create_task(connector.deliver(instruction(1, amount=19901)))
        await until(lambda: len(sandbox.record.entries) == 1)
        with pytest.raises(OutcomeUnknown):
            await connector.deliver(instruction(2, amount=amount))
        with pytest.raises(OutcomeUnknown):
            await silent
        answer = await connector.deliver(instruction(3))

    assert Verdict.APPROVED is answer.verdict
    assert 2 + moved == record.effective(sandbox.record.entries)


async def test_a_refused_connection_is_not_sent(place: Place) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        connector = place.connector(unused.getsockname()[1])
        with pytest.raises(NotSent):
            await connector.deliver(instruction())
        with pytest.raises(NotSent):
            await connector.echo()
        await connector.aclose()


@pytest.mark.parametrize(
    ("who", "changes", "sandbox"),
    [
        ("shop", {}, {}),  # a channel's certificate is no platform's
        ("platform", {"server_name": "elsewhere.example"}, {}),
        ("platform", {"institution": "inst_other"}, {}),
        ("platform", {"mac_key": AES_KEY}, {}),
        ("platform", {}, {"sign_on_code": "58"}),
    ],
    ids=["client certificate", "server name", "another institution", "MAC key", "sign-on refused"],
)
async def test_without_a_sign_on_nothing_is_sent(
    place: Place, who: str, changes: dict[str, Any], sandbox: dict[str, Any]
) -> None:
    async with connected(place, who=who, sandbox=sandbox, **changes) as (connector, back_end):
        with pytest.raises(NotSent) as refused:
            await connector.deliver(instruction())

    assert not isinstance(refused.value, Unfit)
    assert not [entry for entry in back_end.record.entries if entry["kind"] == "0200"]


async def test_the_certificate_of_the_institution_in_the_settings_is_taken(place: Place) -> None:
    async with connected(place, institution="inst_bank") as (connector, _):
        await connector.echo()


async def test_a_wrong_pin_key_is_a_definite_refusal(place: Place) -> None:
    async with connected(place, pin_key=AES_KEY) as (connector, _):
        answer = await connector.deliver(instruction())

    assert Answer(verdict=Verdict.DECLINED, code="99") == answer


@pytest.mark.parametrize(
    "changes",
    [{"currency": "XXX"}, {"amount": 0}, {"amount": 10**12}, {"expiry": Secret("12/30")}, {"chip": Secret("xyz")}],
)
async def test_a_request_that_cannot_be_built_is_unfit_and_reaches_nobody(
    place: Place, changes: dict[str, Any]
) -> None:
    async with connected(place) as (connector, sandbox):
        with pytest.raises(Unfit, match="cannot be built"):
            await connector.deliver(instruction(**changes))

    assert [] == sandbox.record.entries


async def test_a_card_number_that_fits_no_pin_block_is_unfit(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        with pytest.raises(Unfit, match="cannot be built"):
            await connector.deliver(instruction(pan=Pan("622155881234")))

    assert [] == sandbox.record.entries


async def test_an_account_is_not_sent_to_a_card_back_end(place: Place) -> None:
    connector = place.connector(1)
    account = AccountCredential(account=Secret("wallet:me"), secret=Secret("password"))
    with pytest.raises(Unfit, match="cards only"):
        await connector.deliver(instruction(credential=account))
    await connector.aclose()


async def test_a_repeated_reference_is_answered_again_but_moves_no_money(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        first = await connector.deliver(instruction(1))
        again = await connector.deliver(instruction(1))

    assert first == again
    assert [("00", True), ("duplicate", False)] == [(e["outcome"], e["effective"]) for e in sandbox.record.entries]


async def test_a_request_with_the_identifiers_of_one_in_flight_is_never_written(place: Place) -> None:
    async with connected(place, connections=2) as (connector, sandbox):
        await connector.echo()
        both = await asyncio.gather(
            connector.deliver(instruction(1, amount=19902)), connector.deliver(instruction(1)), return_exceptions=True
        )

    assert [OutcomeUnknown, OutcomeUnknown] == [type(result) for result in both]
    assert 1 == len(sandbox.record.entries)


async def test_requests_above_the_bound_are_not_sent(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.adapters.connectors.iso8583_link.IN_FLIGHT_MAX", 2)
    async with connected(place) as (connector, sandbox):
        results = await asyncio.gather(
            *(connector.deliver(instruction(n)) for n in range(1, 6)), return_exceptions=True
        )

    assert [Answer] * 2 + [NotSent] * 3 == [type(result) for result in results]
    assert 2 == len(sandbox.record.entries)


async def test_closing_ends_requests_in_flight_as_unknown_and_later_ones_as_not_sent(place: Place) -> None:
    async with connected(place, timeout_s=30.0) as (connector, sandbox):
        silent = asyncio.create_task(connector.deliver(instruction(1, amount=19901)))
        await until(lambda: len(sandbox.record.entries) == 1)
        await connector.aclose()
        with pytest.raises(OutcomeUnknown):
            await silent
        with pytest.raises(NotSent):
            await connector.deliver(instruction(2))


async def test_the_sandbox_as_a_process_announces_its_port_and_writes_its_record(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "sandbox.json"
    config.write_bytes(msgspec.json.encode(place.sandbox(record=str(tmp_path / "record.jsonl"))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tallystick.testing.sandbox.unionpay", "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    ready, port = (await process.stdout.readline()).split()
    connector = place.connector(int(port), timeout_s=10.0)
    answer = await connector.deliver(instruction(1))
    await connector.aclose()
    process.send_signal(signal.SIGTERM)

    assert 0 == await process.wait()
    assert b"READY" == ready
    assert Verdict.APPROVED is answer.verdict
    text = (tmp_path / "record.jsonl").read_text()
    assert PAN not in text
    assert PIN not in text
    entries = record.read(tmp_path / "record.jsonl")
    assert [("000000000001", "verified")] == [(entry["rrn"], entry["pin"]) for entry in entries]
    assert 1 == record.effective(entries)
