"""Fetch a page's files as a browser does, for comparison with the inventory."""

import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx2
from msgspec import Struct

from tallystick.crypto.tls import client_context
from tallystick.errors import Unavailable

TIMEOUT_S: Final = 10.0  # s to wait for a file


class Received(Struct, frozen=True):
    """One file as it was received; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(url: str, paths: Sequence[str], ca: Path | None) -> list[Received]:
    """Fetch files below `url`, believing `ca` or this machine's authorities; raises Unavailable without an answer."""
    context = client_context(ca) if ca is not None else ssl.create_default_context()
    received = []
    try:
        async with httpx2.AsyncClient(verify=context, trust_env=False, timeout=TIMEOUT_S) as http:
            for path in paths:
                answer = await http.get(f"{url}{path}")
                headers = {name.lower(): value for name, value in answer.headers.items()}
                received.append(Received(answer.status_code, headers, answer.content))
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unavailable(f"the page cannot be fetched: {type(error).__name__}") from error
    return received
