"""The page on metrics and the alert rules against the code."""

import re
from pathlib import Path
from typing import Any

import yaml

from tallystick.wire.metrics import METRICS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "metrics.md").read_text()
ALERTS = (ROOT / "deploy" / "alerts.yml").read_text()
CODE = "".join((ROOT / "src" / "tallystick" / each).read_text() for each in ("adapters/metrics.py", "service/node.py"))
LABELS = {metric.name: set(metric.labels) for metric in METRICS}
NAME = re.compile(r"\b(tallystick_\w+)(?:\{(\w+)[=!~]+)?")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS)["groups"] for rule in group["rules"]]


def unknown(expression: str) -> list[str]:
    """Return what an expression names that no metric has."""
    named = NAME.findall(expression)
    return [f"{name} {label}" for name, label in named if name not in LABELS or (label and label not in LABELS[name])]


def test_the_page_draws_every_metric_as_it_is_written() -> None:
    drawn = re.findall(r"^\| `(tallystick_\w+)` \| (\w+) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [(m.name, m.kind, ", ".join(f"`{each}`" for each in m.labels) or "-", m.text) for m in METRICS] == drawn


def test_every_metric_is_read_somewhere() -> None:
    named = {name for name, _ in re.findall(r"metrics\.([A-Z_]+)(\b)", CODE)} - {"MEDIA_TYPE"}
    assert len(METRICS) == len(named)


def test_every_metric_and_label_that_an_alert_names_exists() -> None:
    assert [] == [fault for rule in rules() for fault in unknown(rule["expr"])]
    assert ["tallystick_planted "] == unknown("tallystick_planted > 0")
    assert ["tallystick_keys payer"] == unknown('tallystick_keys{payer="x"} > 0')


def test_every_label_that_an_alert_shows_is_one_of_its_metrics() -> None:
    for rule in rules():
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        held = [LABELS[name] for name, _ in NAME.findall(rule["expr"])]
        assert all(shown <= labels for labels in held), rule["alert"]


def test_every_alert_names_a_page_that_is_there() -> None:
    assert [] == [rule["alert"] for rule in rules() if not (ROOT / rule["annotations"]["page"]).is_file()]


def test_no_label_is_for_an_id_of_a_payment_or_payer_or_for_a_value() -> None:
    keys, others = {"purpose", "version", "state"}, {"certificate", "authority", "kind", "lease", "limit"}
    ends = {"back_end", "status", "result", "address", "code", "worker"}
    assert keys | others | ends == set().union(*LABELS.values())
