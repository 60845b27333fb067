"""`tallystick pages`: a released page passes, one that was changed on its way is found; links open pages."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pages_world import PagesWorld, pages_world
from starlette.responses import Response
from starlette.routing import Route, Router

from tallystick.channels.model import PageKind
from tallystick.cli.main import cli
from tallystick.crypto.tls import server_context
from tallystick.service.pages.files import PageFiles
from tallystick.service.server import Listener

pytestmark = pytest.mark.e2e


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[PagesWorld]:
    async with pages_world(tmp_path) as made:
        yield made


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, list(words))


async def test_a_page_as_released_passes_and_the_wrong_page_does_not(world: PagesWorld) -> None:
    ca = str(world.desk.ca.trust)
    for kind in PageKind:
        good = await run("pages", "verify", world.origins.of(kind), "--page", kind.value, "--ca", ca, "--json")
        assert 0 == good.exit_code, good.output
        assert "as released" == json.loads(good.stdout)["result"]
    swapped = await run("pages", "verify", world.origins.pc, "--page", "phone", "--ca", ca)
    assert 1 == swapped.exit_code
    assert "content differs" in swapped.stderr


async def test_one_changed_byte_or_header_is_exit_code_1(world: PagesWorld) -> None:
    files = PageFiles.load(PageKind.PC).files

    def served(path: str, *, planted: bytes = b"", without: str = "") -> Response:
        headers = {name: value for name, value in files[path].headers.items() if name != without}
        return Response(files[path].body + planted, headers=headers)

    async def document(_: object) -> Response:
        return served("/", without="cross-origin-opener-policy")

    async def script(_: object) -> Response:
        return served("/pc.js", planted=b"\n// skimmer")

    context = server_context(world.desk.layout.certificate, world.desk.layout.private_key, None)
    app = Router([Route("/", document), Route("/pc.js", script)])
    async with Listener(app, host="127.0.0.1", port=0, context=context) as listener:
        url = f"https://localhost:{listener.port}"
        found = await run("pages", "verify", url, "--page", "pc", "--ca", str(world.desk.ca.trust), "--json")
    assert 1 == found.exit_code
    told = json.loads(found.stderr)["error"]
    assert "page_changed" == told["code"]
    assert "/: header cross-origin-opener-policy differs" in told["detail"]
    assert "/pc.js: content differs" in told["detail"]
    gone = await run("pages", "verify", url, "--page", "pc", "--ca", str(world.desk.ca.trust))
    assert 1 == gone.exit_code
    assert "cannot be fetched" in gone.stderr


async def test_an_operator_issues_a_link_to_a_payment_that_waits(world: PagesWorld) -> None:
    payment, data = await world.order(), str(world.desk.layout.root)
    made = await run("--data", data, "pages", "link", payment, "--json")
    assert 0 == made.exit_code, made.output
    url = json.loads(made.stdout)["url"]
    assert url.startswith(f"{world.origins.pc}/#")
    assert len(url.partition("#")[2]) == 22
    missing = await run("--data", data, "pages", "link", "pay_none")
    assert 1 == missing.exit_code
