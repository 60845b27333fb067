"""The ISO 8583 connector against a back end made of npm's iso_8583 on Node: code nobody here wrote."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from certified import Certified
from node_packages import npm_install

from tallystick.adapters.connectors.iso8583 import Iso8583Connector
from tallystick.adapters.connectors.iso8583_settings import decode_settings
from tallystick.assembly.facts import Order
from tallystick.crypto import pin
from tallystick.crypto.tls import client_context
from tallystick.delivery.model import Answer, Instruction, MessageIds, Original, Verdict
from tallystick.errors import OutcomeUnknown
from tallystick.runtime import Millis, SystemClock
from tallystick.secret import Pan, Secret
from tallystick.testing.pins import MemoryPins
from tallystick.vault.model import CardCredential

pytestmark = pytest.mark.e2e

HOST = Path(__file__).parent / "foreign" / "iso8583_host.js"
PACKAGE = "iso_8583@2.6.7"
MAC_KEY = "0123456789ABCDEFFEDCBA9876543210"
PIN_KEY = "1123456789ABCDEFFEDCBA9876543210"
PAN = "6221558812340000"
START_TIMEOUT_S = 30.0
AT = Millis(1_764_000_000_000)


@dataclass
class Foreign:
    """The foreign back end: where it listens, and what it understood."""

    port: int
    lines: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["0"] == kind]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return npm_install(tmp_path_factory.mktemp("npm"), PACKAGE)


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified.create(tmp_path_factory.mktemp("foreign"), "foreign")


@contextlib.asynccontextmanager
async def foreign(modules: Path, certified: Certified, mac_key: str = MAC_KEY) -> AsyncIterator[Foreign]:
    script = Path(shutil.copy(HOST, modules.parent))  # beside node_modules, where Node looks for the package
    process = await asyncio.create_subprocess_exec(
        "node",
        str(script),
        *map(str, certified.made["foreign"]),
        str(certified.ca.trust),
        mac_key,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines: list[dict[str, Any]] = []

    async def read(stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            lines.append(msgspec.json.decode(line))

    reader = None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            port = msgspec.json.decode(await process.stdout.readline())["port"]
        reader = asyncio.create_task(read(process.stdout))
        yield Foreign(port, lines)
    finally:
        process.terminate()
        await process.wait()
        if reader is not None:
            await reader


@contextlib.asynccontextmanager
async def connected(
    modules: Path, certified: Certified, **changes: str
) -> AsyncIterator[tuple[Iso8583Connector, Foreign]]:
    async with foreign(modules, certified, **changes) as host:
        settings = {
            "host": "127.0.0.1",
            "port": host.port,
            "server_name": "localhost",
            "acquirer": "48021910",
            "forwarder": "48021910",
            "terminal": "00000001",
            "merchant": "898310148160001",
            "mac_key": MAC_KEY,
            "pin_key": PIN_KEY,
            "mac": "x9.19",
            "header": "binary2",
            "timeout_s": 10.0,
        }
        context = client_context(certified.ca.trust, *certified.made["platform"])
        connector = Iso8583Connector(
            decode_settings(json.dumps(settings).encode()), context, SystemClock(), MemoryPins()
        )
        try:
            yield connector, host
        finally:
            await connector.aclose()


def instruction(number: int, amount: int) -> Instruction:
    card = CardCredential(pan=Pan(PAN), expiry=Secret("3012"), pin_block=pin.pin_block_1(Secret("123456")))
    ids = MessageIds(stan=f"{number:06d}", rrn=f"{number:012d}", key=f"req_{number}_1", at=AT)
    order = Order(payee="Tea shop", amount=amount, currency="CNY")
    return Instruction(payment_id=f"pay_{number}", order=order, ids=ids, credential=card)


async def test_a_foreign_iso_8583_host_reads_every_element_and_its_answers_are_believed(
    modules: Path, certified: Certified
) -> None:
    async with connected(modules, certified) as (connector, host):
        approved, declined = await asyncio.gather(
            connector.deliver(instruction(1, 1_000)), connector.deliver(instruction(2, 1_051))
        )
    assert Answer(verdict=Verdict.APPROVED, code="00", approval="000001") == approved
    assert (Verdict.DECLINED, "51") == (declined.verdict, declined.code)
    assert host.lines
    assert all(line["right_mac"] for line in host.lines)
    (first,) = [line for line in host.of("0200") if line["11"] == "000001"]
    expected = {"2": PAN, "3": "000000", "4": "000000001000", "14": "3012", "22": "011", "37": "000000000001"}
    assert expected.items() <= first.items()
    pin.verify(bytes.fromhex(first["52"]), Pan(PAN), bytes.fromhex(PIN_KEY), pin.PinFormat.ISO_0, Secret("123456"))


async def test_a_foreign_iso_8583_host_reads_a_reversal_and_acknowledges_it(
    modules: Path, certified: Certified
) -> None:
    async with connected(modules, certified) as (connector, host):
        sent = instruction(3, 2_000)
        await connector.deliver(sent)
        original = Original(payment_id=sent.payment_id, order=sent.order, ids=sent.ids, account=Secret(PAN))
        ids = MessageIds(stan="000004", rrn="000000000004", key="req_3_2", at=AT)
        assert ["00", "00"] == [await connector.reverse(original, ids, repeat=repeat) for repeat in (False, True)]
    ((first,), (repeat,)) = host.of("0420"), host.of("0421")
    assert first["90"] == repeat["90"]
    assert "0200000003" == first["90"][:10]
    assert not {"14", "52", "53", "55"} & first.keys()


async def test_a_foreign_host_with_another_mac_key_is_not_believed(modules: Path, certified: Certified) -> None:
    other = "1" * 15 + "2" + "3" * 15 + "4"
    async with connected(modules, certified, mac_key=other) as (connector, host):
        with pytest.raises(Exception, match=r"sign-on|MAC") as caught:
            await connector.deliver(instruction(5, 1_000))
    assert not isinstance(caught.value, OutcomeUnknown)
    assert [] == host.of("0200")
