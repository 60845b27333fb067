"""Listeners on shared sockets: bounded, and closed without a lost connection or a cut answer."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from tallystick.errors import Misconfigured
from tallystick.service import sockets
from tallystick.service.doors import Doors
from tallystick.service.server import Listener

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


class Gate:
    """An application that answers 204 once it is open."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.entered = 0
        self.open = asyncio.Event()

    async def __call__(self, _scope: object, _receive: object, send: Any) -> None:
        self.entered += 1
        await self.open.wait()
        headers = [(b"name", self.name.encode())]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def connections() -> AsyncIterator[list[Connection]]:
    held: list[Connection] = []
    yield held
    for _, writer in held:
        writer.transport.abort()


async def connect(port: int, held: list[Connection]) -> Connection:
    made = await asyncio.open_connection("127.0.0.1", port)
    held.append(made)
    return made


async def answer(connection: Connection) -> bytes:
    async with asyncio.timeout(5):
        return await connection[0].readuntil(b"\r\n\r\n")


async def request(connection: Connection) -> bytes:
    connection[1].write(REQUEST)
    return await answer(connection)


async def entered(gate: Gate, count: int) -> None:
    async with asyncio.timeout(5):
        while gate.entered < count:  # noqa: ASYNC110 - the application is called by the server, which sets no event here
            await asyncio.sleep(0)


async def test_requests_beyond_the_bound_are_refused_with_a_problem_and_others_go_on(
    connections: list[Connection],
) -> None:
    gate = Gate()
    async with Listener(gate, context=None, host="127.0.0.1", requests_max=2) as listener:
        held = [await connect(listener.port, connections) for _ in range(3)]
        for at, each in enumerate(held[:2], 1):
            each[1].write(REQUEST)
            await entered(gate, at)
        assert 1 == listener.load()
        refusal = await request(held[2])
        assert b" 503 " in refusal
        assert b"\r\nretry-after: 1\r\n" in refusal
        assert b"\r\ncontent-type: application/problem+json\r\n" in refusal
        length = int(refusal.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        document = msgspec.json.decode(await held[2][0].readexactly(length))
        assert ("unavailable", 503) == (document["code"], document["status"])
        gate.open.set()
        assert all([b" 204 " in await answer(each) for each in held[:2]])
        assert b" 204 " in await request(held[2]), "a refused connection is good for later requests"


async def test_a_connection_too_many_is_refused_and_leaves_those_that_are_open_alone(
    connections: list[Connection],
) -> None:
    gate = Gate()
    gate.open.set()
    async with Listener(gate, context=None, host="127.0.0.1", connections_max=1) as listener:
        first = await connect(listener.port, connections)
        assert b" 204 " in await request(first)
        second = await connect(listener.port, connections)
        refusal = await request(second)
        assert b" 503 " in refusal
        assert b"connection: close" in refusal
        assert await second[0].read()  # the problem, and then the end
        assert b" 204 " in await request(first)


async def test_after_ushering_each_answer_is_its_connections_last(connections: list[Connection]) -> None:
    gate = Gate()
    async with Doors({}) as doors:
        listener = await doors.open("test", gate, host="127.0.0.1", port=0, context=None)
        busy, idle = await connect(listener.port, connections), await connect(listener.port, connections)
        busy[1].write(REQUEST)
        await entered(gate, 1)
        doors.usher()
        gate.open.set()
        for each in (await answer(busy), await request(idle), await request(await connect(listener.port, connections))):
            assert b" 204 " in each
            assert b"connection: close" in each


async def test_closing_takes_one_more_request_of_a_connection_and_ends_the_idle_ones(
    connections: list[Connection],
) -> None:
    gate = Gate()
    gate.open.set()
    doors = Doors({}, linger_s=0.2)
    closed: list[str] = []
    doors.at_shut(lambda: closed.append("streams"))
    listener = await doors.open("test", gate, host="127.0.0.1", port=0, context=None)
    port = listener.port
    busy, idle = await connect(port, connections), await connect(port, connections)
    assert b" 204 " in await request(idle)
    closing = asyncio.create_task(doors.close())
    await asyncio.sleep(0)
    assert ["streams"] == closed
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(port, connections)
    assert b"connection: close" in await request(busy)
    assert b"" == await idle[0].read()
    await closing


async def test_of_two_that_share_a_socket_the_one_that_stays_takes_over_without_a_refused_connection(
    connections: list[Connection],
) -> None:
    shared = sockets.bind("127.0.0.1", 0)
    port = sockets.port_of(shared)
    gates = [Gate("old"), Gate("new")]
    for gate in gates:
        gate.open.set()
    both = [Doors({"test": shared.dup()}, linger_s=0.01) for _ in gates]
    shared.close()
    old, new = both
    await old.open("test", gates[0], host="", port=0, context=None)
    assert b"name: old" in await request(await connect(port, connections))
    await new.open("test", gates[1], host="", port=0, context=None)
    await old.close()
    for _ in range(20):
        assert b"name: new" in await request(await connect(port, connections))
    await new.close()


def test_a_socket_is_handed_over_by_its_number_and_no_child_inherits_it() -> None:
    bound = sockets.bind("127.0.0.1", 0)
    os.set_inheritable(bound.fileno(), True)
    value = sockets.hand_over({"gateway": bound})
    taken = sockets.inherited({sockets.VARIABLE: value})
    bound.detach()
    assert ["gateway"] == list(taken)
    assert not taken["gateway"].get_inheritable()
    taken["gateway"].close()
    assert {} == sockets.inherited({})


def test_what_is_no_listening_socket_is_refused() -> None:
    with socket.socket() as silent:
        for value in (f"gateway={silent.fileno()}", "gateway=9999", "gateway=1", "gateway", "gateway=x"):
            with pytest.raises(Misconfigured):
                sockets.inherited({sockets.VARIABLE: value})


def test_an_address_in_use_is_told() -> None:
    with (
        sockets.bind("127.0.0.1", 0) as first,
        pytest.raises(Misconfigured, match=r"cannot listen on 127\.0\.0\.1 port"),
    ):
        sockets.bind("127.0.0.1", sockets.port_of(first))
