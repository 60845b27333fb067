"""What a supervisor tells of its processes: one that is ready is enough, one overloaded is too many."""

from collections.abc import Mapping

import msgspec
import pytest

from tallystick.service.node import NodeDesk
from tallystick.service.supervisor import Process, Supervisor
from tallystick.testing.asgi import ask
from tallystick.testing.clock import VirtualClock
from tallystick.wire import metrics
from tallystick.wire.metrics import Sample, merge, write

GREEN = b'{"ready":true}'


class Telling:
    """A process that only answers."""

    def __init__(self, answers: Mapping[str, bytes]) -> None:
        self._answers = answers

    async def ready(self) -> None:
        """Be ready."""

    async def ended(self) -> int:
        return 0

    async def ask(self, path: str) -> bytes | None:
        return self._answers.get(path)

    def drain(self) -> None:
        """Do nothing."""

    leave = kill = drain


def red(*faults: str) -> bytes:
    return msgspec.json.encode({"ready": False, "faults": faults})


def desk(*answers: Mapping[str, bytes] | None) -> NodeDesk:
    async def launch(seat: int) -> Process:
        raise NotImplementedError

    supervisor = Supervisor(launch, len(answers), VirtualClock())
    for seat, each in zip(supervisor.seats, answers, strict=True):
        seat.process = Telling(each) if each is not None else None
    return NodeDesk(supervisor)


@pytest.mark.parametrize(
    ("readyz", "faults"),
    [
        ([GREEN, GREEN], ()),
        ([GREEN, None], ()),
        ([GREEN, red("starting")], ()),
        ([GREEN, red("store", "clock")], ()),
        ([GREEN, red("overloaded")], ("overloaded",)),
        ([red("store"), red("clock", "store")], ("clock", "store")),
        ([red("store"), None], ("store",)),
        ([b"what?", None], ("no_worker",)),
        ([None, None], ("no_worker",)),
    ],
)
async def test_one_process_that_is_ready_is_enough_unless_another_one_is_overloaded(
    readyz: list[bytes | None], faults: tuple[str, ...]
) -> None:
    node = desk(*(None if body is None else {"/readyz": body} for body in readyz))
    assert faults == await node.faults()
    assert (503 if faults else 200) == (await ask(node.app(), "GET", "/readyz")).status
    assert 200 == (await ask(node.app(), "GET", "/livez")).status


async def test_metrics_of_all_are_told_under_a_label_and_one_that_does_not_answer_is_down() -> None:
    told = write([Sample(metrics.WEBHOOKS_DEAD, 0), Sample(metrics.IN_FLIGHT, 3, ("a}b",))])
    answer = await ask(desk({"/metrics": told}, {}, None).app(), "GET", "/metrics")
    assert (200, metrics.MEDIA_TYPE) == (answer.status, answer.headers["content-type"])
    values = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    assert [
        'tallystick_webhooks_dead{worker="1"} 0',
        'tallystick_back_end_in_flight{worker="1",back_end="a}b"} 3',
        'tallystick_worker_up{worker="1"} 1',
        'tallystick_worker_up{worker="2"} 0',
        'tallystick_worker_up{worker="3"} 0',
    ] == values[:5]


def test_what_a_later_release_tells_beyond_what_is_known_is_told_as_it_is() -> None:
    text = merge([], {"1": b"# HELP tallystick_new New\ntallystick_new 5\n"}).decode()
    assert text.endswith('tallystick_new{worker="1"} 5\n')
    assert "HELP tallystick_new" not in text
