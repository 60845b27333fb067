"""Webhooks over real TLS, and the addresses that they never go to."""

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.notify import webhooks as module
from tallystick.adapters.notify.webhooks import WebhookPoster, is_public
from tallystick.crypto.ca import BACK_END, DAY_MS
from tallystick.crypto.tls import server_context
from tallystick.crypto.webhooks import sign, write_secret
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.errors import Misconfigured, Unavailable
from tallystick.outcomes.ports import Posted
from tallystick.runtime import SystemClock
from tallystick.testing.receiver import WebhookReceiver

CLOCK = SystemClock()
SECRET = write_secret(b"s" * 32)
BODY = json.dumps(
    {"type": "payment.approved", "id": "evt_1", "timestamp": "2027-01-15T08:00:00.000Z", "data": {"payment": "pay_1"}}
).encode()


@dataclass
class Place:
    """An authority, a receiver with its certificate for `localhost`, and posters that trust it."""

    ca: FileCa
    receiver: WebhookReceiver
    posters: list[WebhookPoster]

    def poster(self, **how: Any) -> WebhookPoster:
        made = WebhookPoster(CLOCK, **{"allow_private": True, "ca": self.ca.trust, **how})
        self.posters.append(made)
        return made

    async def post(self, url: str | None = None, **how: Any) -> Posted:
        headers = sign("evt_1", CLOCK.now(), BODY, [SECRET])
        return await self.poster(**how).post(url or self.receiver.url, headers, BODY)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    ca = FileCa.create(tmp_path / "ca", name="Receivers", now=CLOCK.now())
    uri = "tallystick:institution:receiver"
    key = new_private_key()
    csr = make_csr(key, uri=uri, dns=("localhost",), common_name="receiver")
    chain = ca.issue(csr, BACK_END, uri=uri, dns=("localhost",), now=CLOCK.now(), life=DAY_MS)
    (tmp_path / "receiver.key").touch(0o600)
    (tmp_path / "receiver.key").write_bytes(key)
    (tmp_path / "receiver.pem").write_bytes(chain)
    context = server_context(tmp_path / "receiver.pem", tmp_path / "receiver.key", None)
    async with WebhookReceiver(context) as receiver:
        receiver.secrets = [SECRET.reveal()]
        made = Place(ca, receiver, [])
        yield made
        for poster in made.posters:
            await poster.aclose()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make the name system give these answers, one for each question; return the names that were asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


async def test_a_webhook_arrives_proven_over_tls_at_the_address_it_was_sent_to(place: Place) -> None:
    assert Posted(204) == await place.post()
    (arrived,) = place.receiver.arrived
    assert "POST /outcomes?from=tallystick HTTP/1.1" == arrived.line
    assert arrived.message is not None
    assert "pay_1" == arrived.message.data.payment
    assert f"localhost:{place.receiver.port}" == arrived.headers["host"]
    assert "application/json" == arrived.headers["content-type"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("500 Internal Server Error", Posted(500)),
        ("410 Gone", Posted(410)),
        ("429 Too Many Requests\r\nRetry-After: 120", Posted(429, 120)),
        ("503 Service Unavailable\r\nRetry-After: soon", Posted(503)),
        ("503 Service Unavailable\r\nRetry-After: 9999999", Posted(503)),
        ("503 Service Unavailable\r\nRetry-After: Fri, 01 Jan 2021 00:00:00 GMT", Posted(503, 0)),
    ],
)
async def test_the_receivers_answer_is_returned_as_it_is(place: Place, status: str, expected: Posted) -> None:
    place.receiver.script = [status]
    assert expected == await place.post()


async def test_a_date_in_retry_after_becomes_the_seconds_until_then(place: Place) -> None:
    place.receiver.script = ["503 Service Unavailable\r\nRetry-After: Fri, 01 Jan 2100 00:00:00 GMT"]
    posted = await place.post()
    assert abs(4_102_444_800 - CLOCK.now() / 1000 - (posted.retry_after or 0)) < 60


async def test_a_redirect_is_an_answer_and_not_followed(place: Place) -> None:
    place.receiver.script = [f"307 Temporary Redirect\r\nLocation: {place.receiver.url}"]
    assert Posted(307) == await place.post()
    assert 1 == len(place.receiver.arrived)


async def test_every_webhook_gets_a_connection_of_its_own(place: Place) -> None:
    connections = 0

    async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(BODY))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.transport.abort()

    server = await asyncio.start_server(keep_alive, "127.0.0.1", 0, ssl=place.receiver._context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    poster = place.poster()
    for _ in range(3):
        assert Posted(204) == await poster.post(url, sign("evt_1", CLOCK.now(), BODY, [SECRET]), BODY)
    server.close()
    assert 3 == connections


async def test_the_certificate_must_be_of_a_trusted_authority(place: Place) -> None:
    with pytest.raises(Unavailable):
        await place.post(ca=None)
    assert [] == place.receiver.arrived


async def test_the_certificate_must_be_of_the_host_that_was_named_not_of_the_address_behind_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, ["127.0.0.1"])
    with pytest.raises(Unavailable):
        await place.post(f"https://other.example:{place.receiver.port}/")
    assert [] == place.receiver.arrived
    assert Posted(204) == await place.post()


async def test_nothing_leaves_without_tls(place: Place) -> None:
    with pytest.raises(Unavailable, match="not https"):
        await place.post(f"http://localhost:{place.receiver.port}/")
    assert [] == place.receiver.arrived


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.1", "2130706433", "0.0.0.0"])  # noqa: S104
async def test_this_machine_is_refused_unless_it_is_allowed_however_it_is_written(place: Place, host: str) -> None:
    with pytest.raises(Unavailable, match="not public"):
        await place.post(f"https://{host}:{place.receiver.port}/", allow_private=False)
    assert [] == place.receiver.arrived


@pytest.mark.parametrize("answer", [["169.254.169.254"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_a_name_with_one_address_that_is_not_public_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, answer: list[str]
) -> None:
    resolve_to(monkeypatch, answer)
    with pytest.raises(Unavailable, match="not public"):
        await place.post("https://shop.example/", allow_private=False)


async def test_a_name_is_resolved_once_so_that_no_second_answer_can_lead_elsewhere(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve_to(monkeypatch, ["127.0.0.1"], ["192.0.2.1"])
    assert Posted(204) == await place.post()
    assert ["localhost"] == asked


async def test_the_next_address_is_tried_when_no_connection_can_be_made_to_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    assert Posted(204) == await place.post()


async def test_a_host_without_an_address_and_one_that_refuses_are_tried_again_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unavailable, match="could not be reached"):
        await place.post("https://127.0.0.1:1/")
    resolve_to(monkeypatch, [])
    with pytest.raises(Unavailable, match="no address"):
        await place.post("https://shop.example/")


async def test_a_receiver_that_cuts_or_speaks_nonsense_is_tried_again_later(place: Place) -> None:
    place.receiver.script = ["nonsense\r\n\r\n"]
    with pytest.raises(Unavailable):
        await place.post()


async def test_a_receiver_that_dribbles_is_given_up_when_the_time_is_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.5)

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nSlow: ")
        with contextlib.suppress(OSError):
            while not reader.at_eof():
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.transport.abort()

    server = await asyncio.start_server(dribble, "127.0.0.1", 0, ssl=place.receiver._context)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable, match="in time"):
        async with asyncio.timeout(20):
            await place.post(f"https://localhost:{port}/")
    server.close()


async def test_no_error_names_the_address_or_the_body(place: Place) -> None:
    with pytest.raises(Unavailable) as failed:
        await place.post("https://127.0.0.1:1/token-CANARY")
    assert "CANARY" not in repr(failed.value)
    assert failed.value.__cause__ is None


def test_a_file_of_authorities_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", Path(__file__)):
        with pytest.raises(Misconfigured, match=path.name):
            WebhookPoster(CLOCK, ca=path)


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2001:4860:4860::8888"])
def test_a_public_address_may_be_reached(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",  # noqa: S104 - an address to be refused
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "2001:0:7f00:1::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "fc00::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_special_in_any_way_is_never_reached(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
