"""The receiver of docs/howto/receive-outcomes.md, run as it stands there behind TLS, and the figures of the page."""

import asyncio
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick import limits
from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.notify.webhooks import TIMEOUT_S, WebhookPoster
from tallystick.assembly.facts import TOLD_STATES
from tallystick.crypto.ca import BACK_END, DAY_MS
from tallystick.crypto.tls import server_context
from tallystick.crypto.webhooks import sign, write_secret
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.outcomes.courier import DEAD_KEPT_MS
from tallystick.outcomes.endpoints import OVERLAP_MS
from tallystick.outcomes.ports import Posted
from tallystick.outcomes.send import SCHEDULE_S
from tallystick.runtime import SystemClock
from tallystick.secret import Secret
from tallystick.service.events import HEARTBEAT_MS, LIFE_MS
from tallystick.wire.outcome import OutcomeData, OutcomeMessage

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "receive-outcomes.md").read_text()
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
OLD, NEW = write_secret(b"o" * 32), write_secret(b"n" * 32)
CLOCK = SystemClock()
BODY = msgspec.json.encode(
    OutcomeMessage(
        type="payment.approved", id="evt_1", timestamp="", data=OutcomeData(payment="pay_1", state="approved")
    )
)


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Run the example; give its address, whom to trust, and its variables."""
    monkeypatch.setenv("WEBHOOK_SECRETS", f"{NEW.reveal()} {OLD.reveal()}")
    example: dict[str, Any] = {"__name__": "example"}
    exec(compile(EXAMPLE, "receive-outcomes.md", "exec"), example)  # noqa: S102 - our own page
    ca = FileCa.create(tmp_path / "ca", name="Receivers", now=CLOCK.now())
    key, uri = new_private_key(), "tallystick:institution:receiver"
    csr = make_csr(key, uri=uri, dns=("localhost",), common_name="receiver")
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "pem").write_bytes(ca.issue(csr, BACK_END, uri=uri, dns=("localhost",), now=CLOCK.now(), life=DAY_MS))
    server = HTTPServer(("127.0.0.1", 0), example["Outcomes"])
    context: ssl.SSLContext = server_context(tmp_path / "pem", tmp_path / "key", None)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}/outcomes", ca.trust, example
    server.shutdown()
    thread.join()
    server.server_close()


async def post(url: str, trust: Path, *secrets: Secret) -> Posted:
    poster = WebhookPoster(CLOCK, allow_private=True, ca=trust)
    async with asyncio.timeout(30):
        posted = await poster.post(url, sign("evt_1", CLOCK.now(), BODY, secrets), BODY)
    await poster.aclose()
    return posted


async def test_the_example_acts_once_takes_both_secrets_and_refuses_a_stranger(
    receiver: tuple[str, Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    url, trust, example = receiver
    stranger = write_secret(b"x" * 32)
    posted = [await post(url, trust, secret) for secret in (stranger, NEW, OLD)]
    assert [Posted(400), Posted(204), Posted(204)] == posted
    assert {"evt_1"} == example["acted"]
    assert 1 == capsys.readouterr().out.count("payment.approved pay_1")


def test_the_example_is_short() -> None:
    lines = [line for line in EXAMPLE.splitlines() if line.strip()]
    assert len(lines) <= 24


@pytest.mark.parametrize(
    "text",
    [
        *(f"`payment.{state}`" for state in sorted(TOLD_STATES)),
        f"after {TIMEOUT_S:.0f} s a try counts as failed",
        f"kept for {DEAD_KEPT_MS // DAY_MS} days",
        f"For {OVERLAP_MS // 3_600_000} hours each webhook is signed by both",
        f"every {HEARTBEAT_MS // 1000} s",
        f"{limits.STREAMS_MAX} streams in a process and {limits.STREAMS_EACH_MAX} for each sender",
    ],
)
def test_the_page_says_what_the_code_does(text: str) -> None:
    assert text in re.sub(r"\s+", " ", PAGE)


def test_the_page_states_the_schedule_and_the_life_of_a_stream() -> None:
    written = re.search(r"Tries come at once and after (.*?), with", re.sub(r"\s+", " ", PAGE))
    assert written is not None
    units = {"s": 1, "min": 60, "h": 3_600}
    stated = [int(number) * units[unit] for number, unit in re.findall(r"(\d+) (s|min|h)", written[1])]
    assert [0, *stated] == list(SCHEDULE_S)
    assert "ten minutes" in PAGE
    assert LIFE_MS == 600_000
