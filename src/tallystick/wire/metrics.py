"""The metrics of a platform, and their text form (Prometheus text exposition format 0.0.4)."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metric(Struct, frozen=True):
    """One metric: its name and the names of its labels are stable."""

    name: str
    kind: Literal["gauge", "counter"]
    text: str
    labels: tuple[str, ...] = ()


class Sample(Struct, frozen=True):
    """One value of a metric; `labels` stand in the metric's order."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


KEY_DAYS_LEFT: Final = Metric(
    "tallystick_key_days_left", "gauge", "Whole days until an active key's cryptoperiod ends", ("purpose", "version")
)
KEYS: Final = Metric("tallystick_keys", "gauge", "Long-lived keys by state", ("purpose", "state"))
OPENING_KEY_AGE: Final = Metric(
    "tallystick_opening_key_age_seconds", "gauge", "Seconds since the newest part-opening key was made"
)
CERTIFICATE_DAYS_LEFT: Final = Metric(
    "tallystick_certificate_days_left", "gauge", "Days until a certificate ends", ("certificate",)
)
LIST_SECONDS_LEFT: Final = Metric(
    "tallystick_revocation_list_seconds_left", "gauge", "Seconds until a revocation list ends", ("authority",)
)
LISTS_MISSING: Final = Metric(
    "tallystick_revocation_lists_missing",
    "gauge",
    "Certification authorities without a revocation list that counts",
    ("authority",),
)
NODES: Final = Metric(
    "tallystick_nodes", "gauge", "Processes on the store, by kind and by whether their lease holds", ("kind", "lease")
)
PAYMENTS_WAITING: Final = Metric(
    "tallystick_payments_waiting", "gauge", "Payments that are joined and not final", ("state",)
)
OUTBOX: Final = Metric("tallystick_outbox_messages", "gauge", "Messages that wait to be sent", ("kind",))
OUTBOX_AGE: Final = Metric(
    "tallystick_outbox_oldest_seconds", "gauge", "Age of the oldest message that waits; 0 when none does", ("kind",)
)
NUMBERS: Final = Metric(
    "tallystick_numbers",
    "gauge",
    "Users of an institution by their dynamic number of this period: made, or left to make",
    ("back_end", "state"),
)
WEBHOOKS_DEAD: Final = Metric("tallystick_webhooks_dead", "gauge", "Webhooks given up, kept for a person")
BACK_END_STATUS: Final = Metric(
    "tallystick_back_end_status", "gauge", "1 for the status that a back end has now", ("back_end", "status")
)
CIRCUIT_OPEN: Final = Metric(
    "tallystick_back_end_circuit_open", "gauge", "1 while the circuit to a back end is open", ("back_end",)
)
IN_FLIGHT: Final = Metric("tallystick_back_end_in_flight", "gauge", "Requests under way to a back end", ("back_end",))
REQUESTS: Final = Metric(
    "tallystick_back_end_requests_total", "counter", "Payment requests to a back end that ended", ("back_end", "result")
)
ANSWERS: Final = Metric(
    "tallystick_gateway_answers_total",
    "counter",
    "Answers of the gateway by address and problem code; `ok` without one",
    ("address", "code"),
)
OUTCOMES: Final = Metric(
    "tallystick_payment_outcomes_total", "counter", "Payments that entered a told state", ("state", "back_end")
)
WEBHOOKS: Final = Metric("tallystick_webhooks_total", "counter", "Tries to send a webhook that ended", ("result",))
LIMITED: Final = Metric("tallystick_rate_limited_total", "counter", "Requests refused by a limit", ("limit",))

WORKER_UP: Final = Metric(
    "tallystick_worker_up", "gauge", "1 while a process of `serve --workers` tells its metrics", ("worker",)
)
WORKER_RESTARTS: Final = Metric(
    "tallystick_worker_restarts_total", "counter", "Starts of a process that had ended by itself", ("worker",)
)

METRICS: Final = (
    KEY_DAYS_LEFT,
    KEYS,
    OPENING_KEY_AGE,
    CERTIFICATE_DAYS_LEFT,
    LIST_SECONDS_LEFT,
    LISTS_MISSING,
    NODES,
    PAYMENTS_WAITING,
    OUTBOX,
    OUTBOX_AGE,
    NUMBERS,
    WEBHOOKS_DEAD,
    BACK_END_STATUS,
    CIRCUIT_OPEN,
    IN_FLIGHT,
    REQUESTS,
    ANSWERS,
    OUTCOMES,
    WEBHOOKS,
    LIMITED,
    WORKER_UP,
    WORKER_RESTARTS,
)

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def samples(metric: Metric, values: Mapping[tuple[str, ...], float]) -> list[Sample]:
    """Make the samples of one metric from values by labels."""
    return [Sample(metric, value, labels) for labels, value in sorted(values.items())]


def write(given: Iterable[Sample]) -> bytes:
    """Write samples, those of one metric together under its help and type, metrics in the order of `METRICS`."""
    by_metric: dict[str, list[str]] = {metric.name: [] for metric in METRICS}
    for sample in given:
        by_metric[sample.metric.name].append(_line(sample))
    return _text(by_metric)


def merge(own: Iterable[Sample], texts: Mapping[str, bytes]) -> bytes:
    """Write samples of one's own and, under the label `worker`, all that several processes wrote.

    What a process of a later release tells beyond `METRICS` is told without help and type.
    """
    by_metric: dict[str, list[str]] = {metric.name: [] for metric in METRICS}
    for sample in own:
        by_metric[sample.metric.name].append(_line(sample))
    for worker, text in texts.items():
        for line in text.decode().splitlines():
            head, _, value = line.rpartition(" ")
            name, _, labels = head.partition("{")
            if not line.startswith("#"):
                more = f",{labels}" if labels else "}"
                by_metric.setdefault(name, []).append(f'{name}{{worker="{worker}"{more} {value}')
    return _text(by_metric)


def _text(by_metric: dict[str, list[str]]) -> bytes:
    known = {metric.name: metric for metric in METRICS}
    lines = []
    for name, told in by_metric.items():
        if (metric := known.get(name)) is not None:
            lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} {metric.kind}"]
        lines += told
    return ("\n".join(lines) + "\n").encode()


def _line(sample: Sample) -> str:
    pairs = zip(sample.metric.labels, sample.labels, strict=True)
    labels = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs)
    return f"{sample.metric.name}{f'{{{labels}}}' if labels else ''} {sample.value:.17g}"
