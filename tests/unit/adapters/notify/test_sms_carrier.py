"""Notices by SMS, against a real HTTP server on this machine."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tallystick.adapters.notify.sms import SmsCarrier, SmsSettings
from tallystick.errors import Misconfigured, Unavailable
from tallystick.secret import Secret


class Provider:
    """Answer every request with `status`; keep heads and bodies."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.requests: list[tuple[str, bytes]] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length"))
        self.requests.append((head, await reader.readexactly(int(length))))
        elsewhere = "Location: http://127.0.0.1:1/\r\n"
        writer.write(f"HTTP/1.1 {self.status}\r\n{elsewhere}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def serving(status: str) -> AsyncIterator[tuple[Provider, SmsCarrier]]:
    provider = Provider(status)
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    carrier = SmsCarrier(SmsSettings(url=f"http://127.0.0.1:{port}/messages", token=Secret("bearer-secret")))
    try:
        yield provider, carrier
    finally:
        await carrier.aclose()
        server.close()
        await server.wait_closed()


async def test_a_message_is_posted_with_token_and_reference() -> None:
    async with serving("202 Accepted") as (provider, carrier):
        await carrier.send("ntc_abc", "+4915112345678", "left out", "Your number is 12345678.")
    ((head, body),) = provider.requests
    assert head.startswith("POST /messages HTTP/1.1\r\n")
    assert "authorization: bearer bearer-secret\r\n" in head.lower()
    assert "idempotency-key: ntc_abc\r\n" in head.lower()
    assert json.loads(body) == {"to": "+4915112345678", "text": "Your number is 12345678.", "reference": "ntc_abc"}


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "400 Bad Request", "401 Unauthorized", "503 Unavailable"])
async def test_any_other_answer_is_tried_again_later_and_no_redirect_is_followed(status: str) -> None:
    async with serving(status) as (provider, carrier):
        with pytest.raises(Unavailable, match=status[:3]) as refused:
            await carrier.send("ntc_abc", "+4915112345678", "", "text")
    assert len(provider.requests) == 1
    assert "bearer-secret" not in repr(refused.value)
    assert "+49151" not in repr(refused.value)


async def test_an_unreachable_provider_is_tried_again_later() -> None:
    async with serving("200 OK") as (_, carrier):
        unreachable = SmsCarrier(SmsSettings(url="http://127.0.0.1:1/", token=Secret("t")))
        with pytest.raises(Unavailable):
            await unreachable.send("ntc_abc", "+4915112345678", "", "text")
        await unreachable.aclose()
        await carrier.send("ntc_abc", "+4915112345678", "", "text")


@pytest.mark.parametrize("url", ["http://sms.example/", "ftp://127.0.0.1/", "sms.example", ""])
def test_a_provider_is_reached_by_https_only(url: str) -> None:
    with pytest.raises(Misconfigured):
        SmsSettings(url=url, token=Secret("t"))
