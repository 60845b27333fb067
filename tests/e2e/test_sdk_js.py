"""The JavaScript SDK against the Python side, in Node and in Chromium: what one makes the other takes."""

import asyncio
import json
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pages_world import CHROMIUM, NO_CHROMIUM
from playwright.async_api import Route, async_playwright

from tallystick.channels.capability import named_by_secret, session_of
from tallystick.crypto import kdf
from tallystick.crypto.jose import sign_jws
from tallystick.crypto.signing import Ed25519Private
from tallystick.errors import EnvelopeUnopenable, SignatureInvalid
from tallystick.secret import Secret
from tallystick.security.model import Arrival
from tallystick.testing.messages import give
from tallystick.testing.platform import BROWSER_KEY, MemoryPlatform, memory_platform
from tallystick.wire.keys import IDENTITY_KID, LIST_TYPE, KeyList

SDK = Path(__file__).parents[2] / "sdk" / "js"
NODE = shutil.which("node")
SECRET = "a-link-of-twenty-two-ch"
NONCE = "5" * 32
PAN = "6250947000000014"

# What both run: `tallystick` is the SDK, `given` what the Python side wants done.
WORK = """
const signer = await tallystick.macSigner(given.sender, tallystick.fromBase64url(given.key));
const {published, content, created} = given;
const part = await tallystick.sealedRequest(signer, published, "/v1/parts", content, {created});
const link = await tallystick.linkKeys(given.secret);
const session = await tallystick.sessionKeys(link.key, given.nonce);
const identity = tallystick.fromBase64url(given.identity);
const list = await tallystick.readKeyList(given.list, identity);
const [head, , tail] = given.list.split(".");
const other = tallystick.toBase64url(new TextEncoder().encode('{"issued":0,"keys":[],"policies":[]}'));
const forged = await tallystick.readKeyList(`${head}.${other}.${tail}`, identity).then(() => "taken", () => "refused");
return {part, link: link.sender, session: session.sender, mac: tallystick.toBase64url(session.key), list, forged};
"""


def text(raw: bytes) -> str:
    return b64encode(raw, b"-_").decode().rstrip("=")


async def in_node(given: dict[str, Any]) -> dict[str, Any]:
    if NODE is None:
        pytest.skip("Node is not installed: apt-get install nodejs")
    program = (
        f"import * as tallystick from {json.dumps((SDK / 'tallystick.js').as_uri())};\n"
        f"const work = async (given) => {{{WORK}}};\n"
        f"console.log(JSON.stringify(await work({json.dumps(given)})));"
    )
    arguments = (NODE, "--input-type=module", "-e", program)
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=pipe)
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    done: dict[str, Any] = json.loads(out)
    return done


async def in_chromium(given: dict[str, Any]) -> dict[str, Any]:
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)

    async def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        body = (SDK / name).read_text() if name.endswith(".js") else "<!doctype html>"
        await route.fulfill(body=body, content_type="text/javascript" if name.endswith(".js") else "text/html")

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.route("**/*", serve)
        await page.goto("https://sdk.test/")
        work = f"async (given) => {{const tallystick = await import('/tallystick.js');{WORK}}}"
        done: dict[str, Any] = await page.evaluate(work, given)
        await browser.close()
    return done


Runner = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    await made.channel("ch_js")
    return made


def asked(world: MemoryPlatform, identity: Ed25519Private) -> dict[str, Any]:
    content = {
        "policy": "card",
        "element": {"kind": "phone", "phone": "+8613800138000"},
        "fields": {"pan": PAN},
        "order": {"payee": "Tea House 茶馆", "amount": 1250, "currency": "CNY"},
    }
    listed = msgspec.json.encode(KeyList(issued=0, keys=tuple(world.opening_keys.keys.values()), policies=("card",)))
    return {
        "sender": "ch_js",
        "key": text(kdf.derive(b"tallystick memory channel keys", "ch_js")),
        "published": msgspec.to_builtins(world.opening_keys.keys[BROWSER_KEY]),
        "created": world.clock.now() // 1000,
        "content": content,
        "secret": SECRET,
        "nonce": NONCE,
        "identity": text(identity.public().raw()),
        "list": sign_jws(identity, listed, IDENTITY_KID, LIST_TYPE),
    }


def arrival(world: MemoryPlatform, part: dict[str, Any]) -> Arrival:
    return Arrival(
        method=part["method"],
        target=part["target"],
        headers=part["headers"],
        body=part["body"].encode(),
        at=world.clock.now(),
    )


@pytest.mark.e2e
@pytest.mark.parametrize("run", [in_node, in_chromium], ids=["node", "chromium"])
async def test_a_part_made_by_the_sdk_is_accepted_and_what_python_signs_is_believed(
    world: MemoryPlatform, run: Runner
) -> None:
    done = await run(asked(world, Ed25519Private()))
    assert PAN not in done["part"]["body"]
    member = world.members["ch_js"]
    await give(world, member, arrival(world, done["part"]))
    link = named_by_secret(Secret(SECRET))
    session = session_of(link.key, NONCE)
    assert (link.name, session.name, text(session.key)) == (done["link"], done["session"], done["mac"])
    assert set(world.opening_keys.keys) == {key["id"] for key in done["list"]["keys"]}
    assert "refused" == done["forged"]


@pytest.mark.e2e
async def test_a_part_of_the_sdk_that_was_altered_on_its_way_is_refused(world: MemoryPlatform) -> None:
    part = (await in_node(asked(world, Ed25519Private())))["part"]
    member = world.members["ch_js"]
    moved = {**part, "headers": {**part["headers"], "idempotency-key": "another"}}
    with pytest.raises(SignatureInvalid):
        await give(world, member, arrival(world, moved))
    other = await world.channel("ch_other")
    with pytest.raises((SignatureInvalid, EnvelopeUnopenable)):
        await give(world, other, arrival(world, part))


@pytest.mark.e2e
def test_the_sdks_own_tests_pass_in_node() -> None:
    if NODE is None:
        pytest.skip("Node is not installed: apt-get install nodejs")
    done = subprocess.run([NODE, "--test", "test/"], cwd=SDK, capture_output=True, check=False, timeout=60)  # noqa: S603
    assert 0 == done.returncode, done.stdout.decode()[-2000:]
    assert "# fail 0" in done.stdout.decode()
