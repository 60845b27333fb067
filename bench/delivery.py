"""How fast do messages and deliveries go, and how much time does delivery add to the back end's own?

Run `python -m bench.delivery [deliveries]`: the platform's side in this process, the UnionPay-style sandbox in another,
TLS 1.3 on loopback. "codec" encodes, signs and checks messages without a socket. "connector" sends 0200s over one and
over eight connections, 64 at a time. "added" carries joined payments (route, durable intent, PIN translation, 0200,
durable outcome) at a fixed pace, and takes from each the time of a bare exchange of the same bytes over an open
connection at the same pace: what is left is ours. Writes bench/results/delivery.json.
"""

import asyncio
import json
import os
import platform
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors.iso8583 import Iso8583Connector
from tallystick.adapters.connectors.iso8583_settings import decode_settings
from tallystick.adapters.store.sqlite import SqliteStore
from tallystick.assembly.content import PartValues, seal_values
from tallystick.assembly.facts import ElementKind, Fate, Order, PaymentState
from tallystick.assembly.model import Element, Part, Payment
from tallystick.channels.limiting import COUNT_MAX, DEFAULTS, Limiter, read_limit
from tallystick.channels.model import LimitKind
from tallystick.cli.demo.processes import Child
from tallystick.crypto import ca, mac, pin, x509
from tallystick.crypto.mac import MacAlgorithm
from tallystick.crypto.tls import client_context
from tallystick.delivery.guard import GuardedConnector
from tallystick.delivery.model import Instruction, MessageIds
from tallystick.iso8583.framing import LengthHeader, frame
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import MessageFormat, specification
from tallystick.path import Platform, carry
from tallystick.routing.issuer_file import shipped_rules
from tallystick.routing.model import BackEnd
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.nodes import SteadyNode
from tallystick.testing.platform import bank, memory_platform
from tallystick.testing.routes import put_back_end, put_issuer_rules
from tallystick.vault.model import CardCredential

RESULT = Path(__file__).parent / "results" / "delivery.json"
DELIVERIES = 4_000
AT_A_TIME = 64
MESSAGES = 5_000
PACED = 1_000
PER_SECOND = 50
PAN, PLAIN_PAN = "6250947000000014", "6205500000000000004"
KEYS = {"mac_key": "2B7E151628AED2A6ABF7158809CF4F3C", "pin_key": "0123456789ABCDEFFEDCBA9876543210"}
BACK_END = bank("10000001")
ORDER = Order(payee="Bookshop", amount=1_000, currency="CNY")
FIELDS = {
    "t": "0200",
    "2": PAN,
    "3": "000000",
    "4": "000000001000",
    "7": "1124034500",
    "11": "000001",
    "12": "034500",
    "13": "1124",
    "14": "3012",
    "22": "011",
    "25": "00",
    "26": "12",
    "32": "48020000",
    "33": "48020000",
    "37": "632803000001",
    "41": "TALLY001",
    "42": "TALLYSTICK00001",
    "49": "156",
    "52": "0123456789ABCDEF",
    "53": "2600000000000000",
}


def codec_rates() -> dict[str, dict[str, int]]:
    """Return messages a second signed (encoded) and checked (decoded), for each format."""
    key = bytes.fromhex(KEYS["mac_key"])
    rates = {}
    for form in MessageFormat:
        algorithm = MacAlgorithm.CMAC
        codec = Codec(specification(8, form), partial(mac.tag, algorithm, key), partial(mac.verify, algorithm, key))
        signed = codec.sign(FIELDS)
        rates[form.value] = {
            "sign_per_s": rate(partial(codec.sign, FIELDS)),
            "check_per_s": rate(partial(codec.check, signed)),
        }
    return rates


def rate(work: Callable[[], object]) -> int:
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(MESSAGES):
            work()
        best = min(best, time.perf_counter() - began)
    return round(MESSAGES / best)


class One:
    """The one connector (`delivery.ports.Connectors`)."""

    def __init__(self, connector: GuardedConnector) -> None:
        self._connector = connector

    async def connector(self, _back_end: BackEnd) -> GuardedConnector:
        """Return it, whatever the back end."""
        return self._connector


def connector_of(home: Path, port: int, connections: int) -> Iso8583Connector:
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "server_name": "localhost",
        "acquirer": "48020000",
        "forwarder": "48020000",
        "terminal": "TALLY001",
        "merchant": "TALLYSTICK00001",
        "connections": connections,
        "timeout_s": 20,
        **KEYS,
    }
    return Iso8583Connector(decode_settings(json.dumps(settings).encode()), tls_context(home), SystemClock())


def tls_context(home: Path) -> ssl.SSLContext:
    return client_context(home / "ca.pem", home / "platform.pem", home / "platform.key")


def instruction(number: int) -> Instruction:
    now = Millis(time.time_ns() // 1_000_000)
    ids = MessageIds(stan=f"{number % 10**6:06d}", rrn=f"{number:012d}", key=f"req_{number}_1", at=now)
    card = CardCredential(pan=Pan(PAN), expiry=Secret("3012"), pin_block=pin.pin_block_1(Secret("135790")))
    return Instruction(payment_id=f"pay_{number}", order=ORDER, ids=ids, credential=card)


async def delivery_rate(home: Path, port: int, connections: int, count: int, first: int) -> dict[str, Any]:
    connector = connector_of(home, port, connections)
    numbers, latencies = iter(range(first, first + count)), []
    await connector.deliver(instruction(first + count))

    async def worker() -> None:
        for number in numbers:
            began = time.perf_counter()
            await connector.deliver(instruction(number))
            latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))
    elapsed = time.perf_counter() - began
    await connector.aclose()
    return {"connections": connections, "per_s": round(count / elapsed), **percentiles(latencies)}


async def paced(count: int, work: Callable[[int], Awaitable[object]]) -> list[float]:
    """Start a work every 1/PER_SECOND s whatever the others do; return the ms each took."""
    latencies: list[float] = []

    async def one(number: int) -> None:
        began = time.perf_counter()
        await work(number)
        latencies.append((time.perf_counter() - began) * 1000)

    began, tasks = time.perf_counter(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return latencies


async def added(home: Path, port: int, count: int) -> dict[str, Any]:
    """Compare carrying a payment with a bare exchange of the same size, both at the same pace."""
    floor = await bare_exchanges(home, port, count)
    made = await memory_platform(seed=1)
    store, clock = SqliteStore(home / "added.db"), SystemClock()
    connector = connector_of(home, port, 2)
    guarded = One(GuardedConnector(connector, BACK_END, clock, SteadyNode()))
    often = Limiter(clock, b"bench", {**DEFAULTS, LimitKind.CREDENTIAL: read_limit(f"{COUNT_MAX}/24h")})
    carrier = replace(made.platform, store=store, connectors=guarded, clock=clock, counter=often)
    ids = await prepare(carrier, store, count)
    whole = await paced(count, lambda number: carry(carrier, ids[number]))
    states = [await store.read(lambda books, payment=payment: books.payment(payment)) for payment in ids]
    assert all(payment is not None and payment.state is PaymentState.APPROVED for payment in states)
    await connector.aclose()
    await store.aclose()
    bare, carried = percentiles(floor), percentiles(whole)
    difference = {name: round(carried[name] - bare[name], 2) for name in ("p50_ms", "p99_ms")}
    return {"per_s": PER_SECOND, "bare": bare, "carried": carried, "added": difference}


async def bare_exchanges(home: Path, port: int, count: int) -> list[float]:
    """Exchange messages signed before, one after the other on one open connection; return the ms each took."""
    key = bytes.fromhex(KEYS["mac_key"])
    codec = Codec(
        specification(8), partial(mac.tag, MacAlgorithm.CMAC, key), partial(mac.verify, MacAlgorithm.CMAC, key)
    )
    plain = {number: value for number, value in FIELDS.items() if number not in {"26", "52", "53"}}
    sign_on = {"t": "0800", "7": "1124034500", "11": "000001", "33": "48020000", "70": "001"}
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls_context(home), server_hostname="localhost"
    )
    turn = asyncio.Lock()

    async def exchange(framed: bytes) -> None:
        async with turn:
            writer.write(framed)
            await reader.readexactly(int(await reader.readexactly(4)))

    async def ask(number: int) -> None:
        await exchange(messages[number])

    def framed(fields: dict[str, str]) -> bytes:
        return frame(codec.sign(fields), LengthHeader.ASCII_4)

    messages = [
        framed({**plain, "2": PLAIN_PAN, "22": "012", "11": f"{number:06d}", "37": f"9{number:011d}"})
        for number in range(count)
    ]
    await exchange(framed(sign_on))
    latencies = await paced(count, ask)
    writer.close()
    return latencies


async def prepare(carrier: Platform, store: SqliteStore, count: int) -> list[str]:
    """File joined payments with both parts, as `path.accept` leaves them."""
    await store.transact(lambda books: put_issuer_rules(books, shipped_rules()))
    await store.transact(lambda books: put_back_end(books, BACK_END))
    now = carrier.clock.now()
    epoch = carrier.epochs.current(now)
    names = []
    for number in range(count):
        payment = Payment(
            id=f"pay_{os.urandom(16).hex()}",
            policy="card",
            element=Element(kind=ElementKind.PHONE, digest=os.urandom(32)),
            claimed=True,
            opened_at=now,
            expires_at=Millis(now + 600_000),
            state=PaymentState.JOINED,
            fate=Fate.JOINED,
            order=ORDER,
            updated_at=now,
        )
        halves = ({"pan": Secret(PAN), "expiry": Secret("3012")}, {"pin_block": pin.pin_block_1(Secret("135790"))})
        parts = [
            Part(
                id=f"part_{number}_{half}",
                payment_id=payment.id,
                channel_id=f"ch_{half}",
                certificate=f"c{half}",
                fields=frozenset(fields),
                received_at=now,
                epoch=epoch,
                sealed=seal_values(
                    PartValues(fields=fields, element=(payment.element.digest,)),
                    carrier.epochs.key(epoch),
                    f"part_{number}_{half}",
                ),
            )
            for half, fields in enumerate(halves)
        ]

        async def file(books: Any, payment: Payment = payment, parts: list[Part] = parts) -> None:
            await books.add_payment(payment)
            for part in parts:
                await books.add_part(part)

        await store.transact(file)
        names.append(payment.id)
    return names


def quantile(ordered: list[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))]


def percentiles(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    return {
        "p50_ms": round(statistics.median(ordered), 2),
        "p99_ms": round(quantile(ordered, 0.99), 2),
        "max_ms": round(ordered[-1], 2),
    }


def certificates(home: Path) -> None:
    """Certify the platform and the back end."""
    now = SystemClock().now()
    authority = FileCa.create(home / "ca", name="bench", now=now)
    (home / "ca.pem").write_bytes(authority.trust.read_bytes())
    parties = (
        ("platform", ca.PLATFORM, "tallystick:platform:main"),
        ("backend", ca.BACK_END, "tallystick:institution:1"),
    )
    for name, profile, uri in parties:
        key = x509.new_private_key()
        csr = x509.make_csr(key, uri=uri, common_name=name)
        chain = authority.issue(csr, profile, uri=uri, dns=("localhost",), now=now, life=ca.DAY_MS)
        (home / f"{name}.key").touch(mode=0o600)
        (home / f"{name}.key").write_bytes(key)
        (home / f"{name}.pem").write_bytes(chain)


async def measure(home: Path, count: int) -> dict[str, Any]:
    certificates(home)
    cards = {PAN: {"pin": "135790", "expiry": "3012"}, PLAIN_PAN: {}}
    config = {
        "cert": str(home / "backend.pem"),
        "key": str(home / "backend.key"),
        "ca": str(home / "ca.pem"),
        "cards": cards,
        **KEYS,
    }
    (home / "config.json").write_text(json.dumps(config))
    sandbox = Child(
        "sandbox", ["tallystick.testing.sandbox.unionpay", "--config", str(home / "config.json")], home / "log"
    )
    port = await sandbox.start()
    try:
        one = await delivery_rate(home, port, 1, count, 10_000_000)
        eight = await delivery_rate(home, port, 8, count, 20_000_000)
        return {"connector": [one, eight], "added": await added(home, port, PACED)}
    finally:
        await sandbox.stop()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DELIVERIES
    with tempfile.TemporaryDirectory() as home:
        result = {
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "codec": codec_rates(),
            **asyncio.run(measure(Path(home), count)),
        }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
