"""The connector and the UnionPay-style sandbox over real TLS on loopback."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors.iso8583 import Iso8583Connector
from tallystick.adapters.connectors.iso8583_messages import APPROVED, DECLINED
from tallystick.adapters.connectors.iso8583_settings import Iso8583Settings, decode_settings
from tallystick.assembly.facts import Order
from tallystick.crypto import pin
from tallystick.crypto.ca import BACK_END, CHANNEL, DAY_MS, PLATFORM, Profile
from tallystick.crypto.tls import client_context
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.delivery.model import Answer, Instruction, MessageIds, Verdict
from tallystick.errors import Misconfigured, NotSent, OutcomeUnknown
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox import record
from tallystick.testing.sandbox.unionpay import SandboxConfig, UnionPaySandbox
from tallystick.testing.sandbox.unionpay_issuer import Card
from tallystick.vault.model import AccountCredential, CardCredential

TDES_KEY = "0123456789ABCDEFFEDCBA9876543210"
AES_KEY = "C1D0F8FB4958670DBA40AB1F3752EF0D"
MAC_KEY = "2B7E151628AED2A6ABF7158809CF4F3C"
PAN = "6221558812340000"
PIN = "123456"


@dataclass
class Place:
    """An authority and the certificates of one test run."""

    ca: FileCa
    directory: Path
    made: dict[str, tuple[Path, Path]] = field(default_factory=dict)

    def certify(self, name: str, profile: Profile, uri: str, dns: tuple[str, ...] = ()) -> None:
        key = new_private_key()
        now = Millis(time.time_ns() // 1_000_000)
        chain = self.ca.issue(make_csr(key, uri=uri, common_name=name), profile, uri=uri, dns=dns, now=now, life=DAY_MS)
        files = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        for path, content in zip(files, (chain, key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        self.made[name] = files

    def sandbox(self, **changes: Any) -> SandboxConfig:
        cert, key = self.made["bank"]
        cards = {PAN: Card(pin=PIN, expiry="3012"), "6221558812340018": Card()}
        plain = {"mac_key": MAC_KEY, "pin_key": TDES_KEY, "cards": cards, "delay_s": 1.6}
        return SandboxConfig(cert=str(cert), key=str(key), ca=str(self.ca.trust), **{**plain, **changes})

    def connector(self, port: int, who: str = "platform", **changes: Any) -> Iso8583Connector:
        context = client_context(self.ca.trust, *self.made[who])
        return Iso8583Connector(settings(port=port, **changes), context, SystemClock())


def settings(**changes: Any) -> Iso8583Settings:
    return decode_settings(json.dumps(plain_settings() | changes).encode())


def plain_settings() -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": 1,
        "server_name": "localhost",
        "acquirer": "48021910",
        "forwarder": "48021910",
        "terminal": "00000001",
        "merchant": "898310148160001",
        "mac_key": MAC_KEY,
        "pin_key": TDES_KEY,
        "timeout_s": 1.0,
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    directory = tmp_path_factory.mktemp("iso8583")
    ca = FileCa.create(directory / "ca", name="test", now=Millis(time.time_ns() // 1_000_000))
    made = Place(ca, directory)
    made.certify("bank", BACK_END, "tallystick:institution:inst_bank", ("localhost",))
    made.certify("platform", PLATFORM, "tallystick:platform:main")
    made.certify("shop", CHANNEL, "tallystick:channel:ch_shop")
    return made


@contextlib.asynccontextmanager
async def running(place: Place, **changes: Any) -> AsyncIterator[UnionPaySandbox]:
    sandbox = UnionPaySandbox(place.sandbox(**changes))
    await sandbox.start()
    try:
        yield sandbox
    finally:
        await sandbox.stop()


@contextlib.asynccontextmanager
async def connected(
    place: Place, *, who: str = "platform", sandbox: dict[str, Any] | None = None, **changes: Any
) -> AsyncIterator[tuple[Iso8583Connector, UnionPaySandbox]]:
    async with running(place, **(sandbox or {})) as back_end:
        connector = place.connector(back_end.port, who, **changes)
        try:
            yield connector, back_end
        finally:
            await connector.aclose()


def instruction(number: int = 1, *, amount: int = 1000, digits: str | None = PIN, **changes: Any) -> Instruction:
    block = None if digits is None else pin.pin_block_1(Secret(digits))
    card = {"pan": Pan(PAN), "expiry": Secret("3012"), "pin_block": block, **changes}
    return Instruction(
        payment_id=f"pay_{number}",
        order=Order(payee="Tea shop", amount=amount, currency=card.pop("currency", "CNY")),
        ids=MessageIds(stan=f"{number:06d}", rrn=f"{number:012d}", key=f"key-{number}", at=Millis(1_764_000_000_000)),
        credential=card.pop("credential", None) or CardCredential(**card),
    )


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"header": "binary2"},
        {"mac": "x9.19", "mac_key": AES_KEY},
        {"pin_format": 4, "pin_key": AES_KEY},
    ],
    ids=["cmac, format 0", "binary header", "x9.19", "format 4"],
)
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
    } == {name: value for name, value in entry.items() if name != "at"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"digits": "654321"}, "55"),
        ({"digits": None}, "55"),
        ({"pan": Pan("6221558812349999")}, "14"),
        ({"expiry": Secret("2912")}, "54"),
        ({"amount": 1051}, "51"),
        ({"amount": 1091}, "91"),
    ],
)
async def test_a_definite_refusal_is_a_decline_with_its_code(place: Place, changes: dict[str, Any], code: str) -> None:
    async with connected(place) as (connector, sandbox):
        answer = await connector.deliver(instruction(**changes))

    assert Answer(verdict=Verdict.DECLINED, code=code) == answer
    assert [False] == [entry["effective"] for entry in sandbox.record.entries]


async def test_a_card_without_pin_needs_none(place: Place) -> None:
    async with connected(place) as (connector, _):
        answer = await connector.deliver(instruction(pan=Pan("6221558812340018"), digits=None))

    assert Verdict.APPROVED is answer.verdict


async def test_a_malfunction_leaves_the_outcome_unknown(place: Place) -> None:
    async with connected(place) as (connector, _):
        with pytest.raises(OutcomeUnknown, match="96"):
            await connector.deliver(instruction(amount=1096))


async def test_no_answer_in_time_leaves_the_outcome_unknown_though_the_money_moved(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        with pytest.raises(OutcomeUnknown, match="in time"):
            await connector.deliver(instruction(amount=19901))

    assert [True] == [entry["effective"] for entry in sandbox.record.entries]


async def test_a_late_answer_is_counted_dropped_and_harms_nobody(place: Place) -> None:
    async with connected(place) as (connector, _):
        with pytest.raises(OutcomeUnknown):
            await connector.deliver(instruction(1, amount=19902))
        await asyncio.sleep(1.0)
        answer = await connector.deliver(instruction(2))

    assert 1 == connector.counts.unmatched
    assert Verdict.APPROVED is answer.verdict


async def test_an_answer_with_a_wrong_mac_is_not_believed_and_ends_only_its_own_request(place: Place) -> None:
    async with connected(place, timeout_s=5.0) as (connector, _):
        forged, right = await asyncio.gather(
            connector.deliver(instruction(1, amount=19903)), connector.deliver(instruction(2)), return_exceptions=True
        )

    assert isinstance(forged, OutcomeUnknown)
    assert isinstance(right, Answer)
    assert 1 == connector.counts.unauthenticated


@pytest.mark.parametrize("amount", [19904, 19905], ids=["connection cut", "garbage"])
async def test_a_lost_connection_leaves_every_request_in_flight_unknown_and_is_opened_anew(
    place: Place, amount: int
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
    ("who", "changes"),
    [
        ("shop", {}),  # a channel's certificate is no platform's
        ("platform", {"server_name": "elsewhere.example"}),
        ("platform", {"mac_key": AES_KEY}),
    ],
    ids=["client certificate", "server name", "MAC key"],
)
async def test_without_a_sign_on_nothing_is_sent(place: Place, who: str, changes: dict[str, Any]) -> None:
    async with connected(place, who=who, **changes) as (connector, sandbox):
        with pytest.raises(NotSent):
            await connector.deliver(instruction())

    assert not [entry for entry in sandbox.record.entries if entry["kind"] == "0200"]


async def test_a_wrong_pin_key_is_a_definite_refusal(place: Place) -> None:
    async with connected(place, pin_key=AES_KEY) as (connector, _):
        answer = await connector.deliver(instruction())

    assert Answer(verdict=Verdict.DECLINED, code="99") == answer


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "XXX"},
        {"amount": 0},
        {"amount": 10**12},
        {"pan": Pan("622155881234")},  # too short for a format 0 block
        {"expiry": Secret("12/30")},
    ],
)
async def test_a_request_that_cannot_be_built_is_not_sent_and_opens_no_connection(
    place: Place, changes: dict[str, Any]
) -> None:
    connector = place.connector(1)
    with pytest.raises(NotSent, match="cannot be built"):
        await connector.deliver(instruction(**changes))
    await connector.aclose()


async def test_an_account_is_not_sent_to_a_card_back_end(place: Place) -> None:
    connector = place.connector(1)
    account = AccountCredential(account=Secret("wallet:me"), secret=Secret("password"))
    with pytest.raises(NotSent, match="cards only"):
        await connector.deliver(instruction(credential=account))
    await connector.aclose()


async def test_many_requests_share_one_connection_and_each_gets_its_own_answer(place: Place) -> None:
    async with connected(place, timeout_s=20.0) as (connector, sandbox):
        answers = await asyncio.gather(
            *(connector.deliver(instruction(n, amount=1051 if n % 3 == 0 else 1000)) for n in range(1, 301))
        )
        assert 1 == len(sandbox._connections)

    expected = [(None, "51") if n % 3 == 0 else (f"{n:06d}", "00") for n in range(1, 301)]
    assert expected == [(answer.approval, answer.code) for answer in answers]


async def test_a_repeated_reference_is_answered_again_but_moves_no_money(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        first = await connector.deliver(instruction(1))
        again = await connector.deliver(instruction(1))

    assert first == again
    assert [("00", True), ("duplicate", False)] == [(e["outcome"], e["effective"]) for e in sandbox.record.entries]


async def test_a_request_with_the_identifiers_of_one_in_flight_is_never_written(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
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


async def test_an_echo_proves_that_the_back_end_answers(place: Place) -> None:
    async with connected(place) as (connector, _):
        await connector.echo()


async def test_closing_ends_requests_in_flight_as_unknown_and_later_ones_as_not_sent(place: Place) -> None:
    async with connected(place, timeout_s=5.0) as (connector, sandbox):
        silent = asyncio.create_task(connector.deliver(instruction(1, amount=19901)))
        await until(lambda: len(sandbox.record.entries) == 1)
        await connector.aclose()
        with pytest.raises(OutcomeUnknown):
            await silent
        with pytest.raises(NotSent):
            await connector.deliver(instruction(2))


async def test_closing_while_the_connection_opens_ends_its_callers_as_not_sent(place: Place) -> None:
    async with connected(place) as (connector, _):
        waiting = [asyncio.create_task(connector.deliver(instruction(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        await connector.aclose()
        assert [NotSent, NotSent] == [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)]


async def test_a_cancelled_caller_does_not_cancel_the_connection_of_another(place: Place) -> None:
    async with connected(place) as (connector, _):
        first, second = (asyncio.create_task(connector.deliver(instruction(n))) for n in (1, 2))
        await asyncio.sleep(0)
        first.cancel()

        assert Verdict.APPROVED is (await second).verdict
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_a_back_end_that_returns_is_connected_again(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await connector.deliver(instruction(1))
        sandbox.cut()
        await until(lambda: not connector._link.usable)

        assert Verdict.APPROVED is (await connector.deliver(instruction(2))).verdict


def test_no_response_code_is_both_approved_and_declined() -> None:
    assert not APPROVED & DECLINED
    assert not {"06", "22", "68", "96", "98", "94", "09", "10"} & (APPROVED | DECLINED)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 0),
        ("port", "secret-value"),
        ("host", "bad host secret-value"),
        ("mac", "secret-value"),
        ("terminal", "1"),
        ("merchant", "1"),
        ("acquirer", ""),
        ("mac_key", "secret-value"),
        ("mac_key", 5),
        ("mac_key", "00"),
        ("pin_key", "0123456789ABCDEF" * 2),
        ("pin_key", MAC_KEY),
        ("pin_format", 1),
        ("zone", "secret-value"),
        ("zone", "../../secret-value"),
        ("zone", "Asia"),
        ("zone", ""),
        ("timeout_s", 0),
        ("timeout_s", 1e9),
        ("surprise", "secret-value"),
    ],
)
def test_wrong_settings_are_refused_without_showing_their_value(name: str, value: Any) -> None:
    with pytest.raises(Misconfigured) as refused:
        settings(**{name: value})

    assert "secret-value" not in str(refused.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b" " * 10_000])
def test_what_is_no_settings_object_is_refused(data: bytes) -> None:
    with pytest.raises(Misconfigured):
        decode_settings(data)


def test_settings_print_no_key() -> None:
    assert MAC_KEY not in repr(settings())
    assert TDES_KEY not in repr(settings())


async def test_the_sandbox_as_a_process_announces_its_port_and_writes_its_record(place: Place, tmp_path: Path) -> None:
    config = tmp_path / "sandbox.json"
    config.write_bytes(msgspec.json.encode(place.sandbox(record=str(tmp_path / "record.jsonl"))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tallystick.testing.sandbox.unionpay", "--config", str(config)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    ready, port = (await process.stdout.readline()).split()
    connector = place.connector(int(port), timeout_s=5.0)
    answer = await connector.deliver(instruction(1))
    await connector.aclose()
    process.send_signal(signal.SIGTERM)

    assert 0 == await process.wait()
    assert b"READY" == ready
    assert Verdict.APPROVED is answer.verdict
    text = (tmp_path / "record.jsonl").read_text()
    assert PAN not in text
    assert PIN not in text
    assert [("000000000001", "verified", True)] == [
        (entry["rrn"], entry["pin"], entry["effective"]) for entry in record.read(tmp_path / "record.jsonl")
    ]


async def until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 (what is waited for happens in another object, without an event)
            await asyncio.sleep(0.005)
