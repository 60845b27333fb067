"""Real processes under a supervisor: one port, no refused connection while they die, are replaced or drain."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import tiny_worker

from tallystick import config
from tallystick.bootstrap.supervising import Supervised, supervising
from tallystick.errors import Misconfigured
from tallystick.service import sockets
from tallystick.service.node import NodeDesk
from tallystick.testing.asgi import ask

pytestmark = pytest.mark.e2e

COMMAND = (tiny_worker.__name__,)
WAIT_S = 20.0


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let children find the module of the tiny process; returns the file that keeps one from starting."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
    monkeypatch.setenv(tiny_worker.FAIL, str(tmp_path / "fail"))
    return tmp_path / "fail"


@pytest.fixture
async def node() -> AsyncIterator[Supervised]:
    settings = config.parse("[gateway]\nport = 0\n", {})
    async with supervising(settings, COMMAND, 2) as made:
        yield made
        hurry = asyncio.Event()
        hurry.set()
        assert await made.supervisor.stop(hurry)


async def who(node: Supervised) -> tuple[int, int]:
    """Ask over a new connection; returns seat and process id of who answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    async with asyncio.timeout(WAIT_S):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200 ")
    seat, pid = body.split()
    return int(seat), int(pid)


async def everybody(node: Supervised) -> set[tuple[int, int]]:
    """Ask often enough that each process, which wakes for a connection as often as another, has answered."""
    return {await who(node) for _ in range(40)}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.02)


async def test_all_share_one_port_that_the_system_chose(node: Supervised) -> None:
    assert {1, 2} == {seat for seat, _ in await everybody(node)}


async def test_one_that_is_killed_is_replaced_and_the_other_serves_meanwhile(node: Supervised) -> None:
    before = {seat.number: seat.process for seat in node.supervisor.seats}
    (killed,) = {pid for seat, pid in await everybody(node) if seat == 2}
    os.kill(killed, signal.SIGKILL)
    await until(lambda: node.supervisor.seats[1].process is not before[2])
    assert killed not in {pid for _, pid in [await who(node) for _ in range(10)]}
    await until(lambda: node.supervisor.seats[1].process is not None)
    assert {1, 2} == {seat for seat, _ in await everybody(node)}


async def test_a_roll_under_load_refuses_no_connection_and_leaves_no_old_process(node: Supervised) -> None:
    old = {pid for _, pid in await everybody(node)}
    answered, rolled = [], asyncio.Event()

    async def load() -> None:
        while not rolled.is_set():
            answered.append(await who(node))

    loads = [asyncio.create_task(load()) for _ in range(4)]
    processes = {seat.process for seat in node.supervisor.seats}
    node.supervisor.roll()
    await until(lambda: processes.isdisjoint({seat.process for seat in node.supervisor.seats}))
    await asyncio.gather(*(process.ended() for process in processes if process is not None))
    rolled.set()
    await asyncio.gather(*loads)
    assert answered
    assert old.isdisjoint({pid for _, pid in await everybody(node)})


async def test_a_roll_to_what_does_not_start_changes_nothing(node: Supervised, found: Path) -> None:
    before = await everybody(node)
    await asyncio.to_thread(found.touch)
    node.supervisor.roll()
    for locked in (True, False):
        await until(lambda locked=locked: locked is node.supervisor.seats[0].turn.locked())
    assert before == await everybody(node)


async def test_processes_whose_supervisor_is_gone_leave_by_themselves(node: Supervised) -> None:
    process = node.supervisor.seats[0].process
    assert process is not None
    process.leave()  # closes its standard input, as the end of the supervisor would
    async with asyncio.timeout(WAIT_S):
        assert 0 == await process.ended()


async def test_a_node_is_ready_while_one_process_is_and_never_once_it_drains(node: Supervised) -> None:
    desk = NodeDesk(node.supervisor)
    assert () == await desk.faults()
    node.supervisor.seats[1].process = None  # as while it is started again
    assert () == await desk.faults()
    metrics = (await ask(desk.app(), "GET", "/metrics")).body.decode().splitlines()
    assert 'tallystick_worker_restarts_total{worker="2"} 0' in metrics
    node.supervisor.stopping = True
    assert ("draining",) == await desk.faults()
    assert 503 == (await ask(desk.app(), "GET", "/readyz")).status


async def test_a_node_does_not_start_when_a_process_does_not_and_gives_its_port_back(found: Path) -> None:
    await asyncio.to_thread(found.touch)
    with sockets.bind("127.0.0.1", 0) as free:
        port = sockets.port_of(free)
    with pytest.raises(Misconfigured, match="worker 1 does not start"):
        async with supervising(config.parse(f"[gateway]\nport = {port}\n", {}), COMMAND, 2):
            pass
    sockets.bind("127.0.0.1", port).close()
