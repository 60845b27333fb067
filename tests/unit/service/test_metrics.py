"""The metrics listener: the text form, and a scrape that fails as a scrape must."""

import msgspec
import pytest

from tallystick.errors import StoreFailed
from tallystick.service.metrics import MetricsDesk
from tallystick.testing.asgi import ask
from tallystick.testing.clock import SeededRandomness
from tallystick.wire import metrics
from tallystick.wire.metrics import METRICS, Sample, write


class Broken:
    """A gatherer whose store cannot be read."""

    async def gather(self) -> list[Sample]:
        raise StoreFailed("the disk is gone")


def values(text: bytes) -> list[str]:
    return [line for line in text.decode().splitlines() if not line.startswith("#")]


def test_a_scrape_without_values_still_says_what_each_metric_means() -> None:
    lines = write([]).decode().splitlines()
    assert [line for m in METRICS for line in (f"# HELP {m.name} {m.text}", f"# TYPE {m.name} {m.kind}")] == lines


def test_values_stand_under_their_metric_with_labels_escaped() -> None:
    given = [
        Sample(metrics.IN_FLIGHT, 3, ('a"b\\c\nd',)),
        Sample(metrics.WEBHOOKS_DEAD, 0),
        Sample(metrics.KEY_DAYS_LEFT, -1, ("vault", "2")),
    ]
    expected = [
        'tallystick_key_days_left{purpose="vault",version="2"} -1',
        "tallystick_webhooks_dead 0",
        'tallystick_back_end_in_flight{back_end="a\\"b\\\\c\\nd"} 3',
    ]
    assert expected == values(write(given))


def test_a_value_without_one_of_its_labels_is_never_written() -> None:
    with pytest.raises(ValueError, match="zip"):
        write([Sample(metrics.KEY_DAYS_LEFT, 1, ("vault",))])


def test_counters_and_they_alone_end_in_total() -> None:
    assert {m.name for m in METRICS if m.kind == "counter"} == {m.name for m in METRICS if m.name.endswith("_total")}


async def test_a_scrape_fails_when_the_store_cannot_be_read() -> None:
    answer = await ask(MetricsDesk(Broken(), SeededRandomness()).app(), "GET", "/metrics")
    assert (503, "store_failed") == (answer.status, msgspec.json.decode(answer.body)["code"])
