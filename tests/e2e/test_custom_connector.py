"""examples/custom_connector.py keeps every law of connectors, over real TLS, and is found as a plug-in."""

import asyncio
import contextlib
import json
import runpy
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.connectors import kinds
from tallystick.adapters.connectors.kinds import ConnectorKind, ConnectorTools
from tallystick.assembly.facts import Order
from tallystick.crypto.ca import BACK_END, DAY_MS, PLATFORM
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.tls import client_context, server_context
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.delivery.model import Instruction, MessageIds
from tallystick.delivery.pull_queue import PullQueue
from tallystick.errors import Misconfigured, Unfit
from tallystick.runtime import SystemClock, SystemRandomness
from tallystick.secret import Pan, Secret
from tallystick.testing.bench import Behaviour, Bench
from tallystick.testing.conformance import ConnectorConformance
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.pins import MemoryPins
from tallystick.vault.model import AccountCredential, CardCredential

pytestmark = pytest.mark.e2e

EXAMPLE = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "examples" / "custom_connector.py")))
PAN, KEY = "6250947000000014", "0123456789abcdef" * 4
TIMEOUT_S = 0.5
LATE_S = 0.8


class FaultyBackEnd(EXAMPLE.JsonLinesBackEnd):  # type: ignore[misc, name-defined]  # a class of a script
    """The example's back end, which treats each payment as it was told to, and counts."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.behaviours: dict[str, Behaviour] = {}
        self.arrivals: list[str] = []
        self.tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        try:
            await super().serve(reader, writer)
        finally:
            writer.transport.abort()

    async def answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        behaviour = Behaviour.APPROVE
        if request["type"] == "pay":
            self.arrivals.append(request["key"])
            behaviour = self.behaviours[request["key"]]
        match behaviour:
            case Behaviour.SILENT | Behaviour.CUT | Behaviour.GARBAGE:
                self.decided[request["key"]] = "approved"
                if behaviour is Behaviour.SILENT:
                    await asyncio.sleep(4 * TIMEOUT_S)
                writer.write(b"\x00 garbage\n" if behaviour is Behaviour.GARBAGE else b"")
            case Behaviour.LATE:
                self.decided[request["key"]] = "approved"
                await asyncio.sleep(LATE_S)
                await super().answer(request, writer)
            case Behaviour.FORGED:
                own, self._key = self._key, b"another key" * 3
                await super().answer(request, writer)
                self._key = own
            case Behaviour.TWICE:
                await super().answer(request, writer)
                await super().answer(request, writer)
            case _:
                await super().answer(request, writer)


def private(path: Path, data: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(data)
    return path


def certified(ca: FileCa, place: Path, name: str, profile: Any, uri: str, dns: list[str]) -> tuple[Path, Path]:
    key = new_private_key()
    csr = make_csr(key, uri=uri, dns=dns, common_name=name)
    chain = ca.issue(csr, profile, uri=uri, dns=dns, now=SystemClock().now(), life=DAY_MS)
    return private(place / f"{name}.pem", chain), private(place / f"{name}.key", key)


def tools(ca: FileCa, place: Path) -> ConnectorTools:
    context = client_context(ca.trust, *certified(ca, place, "platform", PLATFORM, "tallystick:platform:main", []))
    return ConnectorTools(
        institution="40010001",
        ssl_context=context,
        signer=Ed25519Private(),
        keyid="tallystick:platform:main",
        clock=SystemClock(),
        randomness=SystemRandomness(),
        queue=PullQueue(MemoryStore(), MemoryKeyring(), SystemClock()),
        pins=MemoryPins(),
    )


class JsonLinesBench:
    """The example's connector, built as the platform builds it, and its back end on a port of this machine."""

    secrets = (PAN, KEY)
    patience_s = 4 * TIMEOUT_S

    def __init__(self, place: Path) -> None:
        self.lacks: dict[Behaviour, str] = {}
        ca = FileCa.create(place / "ca", name="test", now=SystemClock().now())
        chain, key = certified(ca, place, "bank", BACK_END, "tallystick:institution:bank", ["localhost"])
        self._context = server_context(chain, key, ca.trust)
        self._tools = tools(ca, place)
        self.back_end = FaultyBackEnd(bytes.fromhex(KEY))
        self._server: asyncio.Server | None = None
        self._port = 0
        self._made = 0

    async def open(self) -> None:
        await self.plug_in()
        settings = {
            "host": "127.0.0.1",
            "port": self._port,
            "server_name": "localhost",
            "mac_key": KEY,
            "timeout_s": TIMEOUT_S,
        }
        self.connector = EXAMPLE.KIND.build(json.dumps(settings).encode(), self._tools)

    async def instruction(self, behaviour: Behaviour) -> Instruction:
        self._made += 1
        ids = MessageIds(
            stan=f"{self._made:06d}",
            rrn=f"636523{self._made:06d}",
            key=f"req_{self._made}_1",
            at=SystemClock().now(),
        )
        self.back_end.behaviours[ids.key] = behaviour
        amount = 1251 if behaviour is Behaviour.DECLINE else 1250
        return Instruction(
            payment_id=f"pay_{self._made}",
            order=Order(payee="Tea House", amount=amount, currency="CNY"),
            ids=ids,
            credential=CardCredential(pan=Pan(PAN), expiry=Secret("3012")),
        )

    async def arrived(self, instruction: Instruction) -> int:
        return self.back_end.arrivals.count(instruction.ids.key)

    async def effective(self, instruction: Instruction) -> int:
        return int(self.back_end.decided.get(instruction.ids.key) == "approved")

    async def unplug(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        for task in self.back_end.tasks:
            task.cancel()
        await asyncio.gather(*self.back_end.tasks, return_exceptions=True)

    async def plug_in(self) -> None:
        self._server = await asyncio.start_server(self.back_end.serve, "127.0.0.1", self._port, ssl=self._context)
        self._port = self._server.sockets[0].getsockname()[1]


class TestTheExample(ConnectorConformance):
    def bench(self) -> AbstractAsyncContextManager[Bench]:
        return self._open()

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[Bench]:
        with tempfile.TemporaryDirectory() as place:
            bench = JsonLinesBench(Path(place))
            await bench.open()
            try:
                yield bench
            finally:
                await bench.connector.aclose()
                await bench.unplug()


@pytest.fixture
def connector(tmp_path: Path) -> Iterator[Any]:
    ca = FileCa.create(tmp_path / "ca", name="test", now=SystemClock().now())
    settings = {"host": "127.0.0.1", "port": 9, "server_name": "localhost", "mac_key": KEY}
    return EXAMPLE.KIND.build(json.dumps(settings).encode(), tools(ca, tmp_path))


async def test_what_is_no_card_is_unfit(connector: Any) -> None:
    account = AccountCredential(account=Secret("qianbao:alice"), secret=Secret("secret"))
    order = Order(payee="Tea House", amount=1250, currency="CNY")
    ids = MessageIds(stan="000001", rrn="636523000001", key="req_1_1", at=SystemClock().now())
    with pytest.raises(Unfit):
        await connector.deliver(Instruction(payment_id="pay_1", order=order, ids=ids, credential=account))


@pytest.mark.parametrize("wrong", [{"mac_key": "c0ffee"}, {"mac_key": "x" * 64}, {"port": 0}, {"more": 1}, {"host": 7}])
def test_settings_that_cannot_be_used_are_refused_without_a_value(wrong: dict[str, Any]) -> None:
    settings = {"host": "127.0.0.1", "port": 9, "server_name": "localhost", "mac_key": KEY, **wrong}
    with pytest.raises(Misconfigured) as refusal:
        EXAMPLE.KIND.check(json.dumps(settings).encode())
    assert "c0ffee" not in str(refusal.value)
    assert refusal.value.__context__ is None


def test_it_is_a_kind_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "planted", EXAMPLE.KIND, raising=False)
    point = EntryPoint(name="jsonl", value="tallystick.adapters.connectors.kinds:planted", group=kinds.GROUP)
    known = kinds.with_plug_ins([point])
    assert EXAMPLE.KIND is known["jsonl"]
    assert isinstance(known["jsonl"], ConnectorKind)
