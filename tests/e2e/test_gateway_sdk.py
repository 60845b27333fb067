"""SDK clients against a platform that serves: keys and suites, wrong certificates, changes made while it serves."""

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from live_platform import Live, a_payment, enrol, live_platform, until

from tallystick.bootstrap.office import Office
from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI
from tallystick.cli import administer, profiles
from tallystick.crypto.hpke import Suite
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import EcdsaPrivate, Ed25519Private, HmacKey
from tallystick.crypto.tls import client_context
from tallystick.crypto.x509 import make_csr, new_private_key, read_certificate
from tallystick.runtime import SystemClock
from tallystick.sdk.errors import PlatformProblem
from tallystick.sdk.keys import KEYS_TARGET, HeldKeys
from tallystick.sdk.requests import Credentials, seal_request
from tallystick.sdk.settings import Profile, load_profile
from tallystick.service.senders import KNOWN_MS
from tallystick.wire.keys import JWE_SUITE
from tallystick.wire.part import PartContent

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

EXECUTABLE = Path(sys.executable).with_name("tallystick")
EFFECTIVE_S = KNOWN_MS / 1000 + 0.2  # s after which a change counts at the latest, and a margin
WRONG_PURPOSE = (403, "certificate_wrong_purpose")

AMOUNTS = count(10_000, 100)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    async with live_platform(tmp_path_factory.mktemp("gateway")) as running:
        async with running.office() as desk:
            for key in (Ed25519Private, EcdsaPrivate):
                await enrol(running, desk, f"{key.algorithm} pc", "pan expiry order", key())
                await enrol(running, desk, f"{key.algorithm} phone", "pin_block", key())
            for name in ("to suspend", "to revoke"):
                await enrol(running, desk, name, "pan expiry order")
            await enrol_third_party(running, desk)
        yield running


async def enrol_third_party(live: Live, desk: Office) -> None:
    """Register an institution that sends messages of its own, and load its profile."""
    third = await administer.add_institution(desk, name="Third", connector="rest", schemes=frozenset({"third"}))
    private, public = profiles.new_signing_key()
    settings = {
        "base_url": "https://localhost:1",
        "institution": third.id,
        "encryption_jwk": JweKey.generate("third-1").public_jwk(),
        "verify_key": public.decode(),
        "accepts": ["account"],
    }
    await administer.set_connector(desk, third.id, settings, public.decode())
    place = live.home / "profiles" / "third"
    live.profiles["third"] = load_profile(
        profiles.write_institution(desk, third.id, place, "https://localhost:1", private)
    )


async def operator(live: Live, *arguments: str) -> Any:
    """Run the command line on the platform's data, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    process = await asyncio.create_subprocess_exec(
        EXECUTABLE, "--data", live.data, *arguments, "--json", env=kept, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert 0 == process.returncode
    return json.loads(said)


async def post(
    live: Live, profile: Profile, content: PartContent | None = None, target: str = "/v1/parts"
) -> tuple[int, str]:
    """Seal, sign and send a message as a profile says, right or wrong; return status and code."""
    content = content or a_payment(next(AMOUNTS))[0]
    context = client_context(profile.ca, profile.certificate, profile.private_key)
    base_url = f"https://localhost:{live.child.port}"
    async with httpx2.AsyncClient(base_url=base_url, verify=context, trust_env=False) as http:
        held, now = HeldKeys(profile.identity, profile.suite), SystemClock().now()
        published = await http.get(KEYS_TARGET)
        if published.is_error:
            return published.status_code, published.json()["code"]
        held.take(published.content, now)
        request = seal_request(
            profile.credentials,
            held.newest(now),
            target,
            content,
            created=now // 1000,
            nonce=secrets.token_urlsafe(18),
            idempotency_key=secrets.token_urlsafe(18),
        )
        answer = await http.post(target, headers=dict(request.headers), content=request.body)
    document = answer.json()
    return answer.status_code, document.get("code", document.get("status"))


def certified(live: Live, name: str, chain: bytes, key: bytes) -> dict[str, Any]:
    """Write a certificate and its key; return what of a profile they replace."""
    certificate, private_key = live.home / f"{name}.pem", live.home / f"{name}.key"
    certificate.write_bytes(chain)
    profiles.write_private(private_key, key)
    return {"certificate": certificate, "private_key": private_key}


async def paid(live: Live, card: str = "pc", pin: str = "phone", **changes: Any) -> bool:
    """Send both parts of a payment; tell whether the bank recorded one effect and the sender sees an approval."""
    amount = next(AMOUNTS)
    part = await live.pay(amount, card, pin, **changes)
    state = await live.outcome(part, pin)
    return ("approved", [True]) == (state, live.asked(amount))


async def refusal(live: Live, name: str) -> str:
    with pytest.raises(PlatformProblem) as refused:
        await live.client(name).send_part(a_payment(next(AMOUNTS))[0])
    return refused.value.code


# Keys and suites


@pytest.mark.parametrize("algorithm", [Ed25519Private.algorithm, EcdsaPrivate.algorithm])
async def test_channels_that_sign_with_keys_of_their_own_pay(live: Live, algorithm: str) -> None:
    assert algorithm == live.profiles[f"{algorithm} pc"].credentials.key.algorithm
    assert await paid(live, f"{algorithm} pc", f"{algorithm} phone")


@pytest.mark.parametrize("suite", [Suite.MLKEM768_X25519.value, Suite.P256.value, JWE_SUITE])
async def test_parts_sealed_in_every_suite_pay(live: Live, suite: str) -> None:
    assert await paid(live, suite=suite)
    assert suite == live.client("pc", suite=suite)._held.newest(SystemClock().now()).suite


async def test_parts_of_one_payment_may_come_by_different_algorithms_and_suites(live: Live) -> None:
    amount = next(AMOUNTS)
    first, second = a_payment(amount)
    await live.client("phone", suite=JWE_SUITE).send_part(second)
    receipt = await live.client(f"{EcdsaPrivate.algorithm} pc", suite=Suite.P256.value).send_part(first)
    assert "approved" == await live.outcome(receipt.part, f"{EcdsaPrivate.algorithm} pc")
    assert [True] == live.asked(amount)


# Wrong certificates and keys


async def test_a_right_message_is_accepted_by_the_way_the_wrong_ones_are_sent(live: Live) -> None:
    assert (202, "accepted") == await post(live, live.profiles["pc"])


async def test_an_institutions_certificate_sends_no_part(live: Live) -> None:
    assert WRONG_PURPOSE == await post(live, live.profiles["third"])


async def test_a_channels_certificate_issues_no_value_and_sets_no_number(live: Live) -> None:
    for target in ("/v1/values", "/v1/numbers"):
        assert WRONG_PURPOSE == await post(live, live.profiles["pc"], target=target)


async def test_the_certificate_by_which_a_back_end_serves_sends_nothing(live: Live) -> None:
    files: dict[str, Any] = {"certificate": live.home / "bank.pem", "private_key": live.home / "bank.key"}
    assert INSTITUTION_URI + live.bank.id == read_certificate(files["certificate"].read_bytes()).uri
    assert (403, "channel_unknown") == await post(live, replace(live.profiles["pc"], **files))


async def test_the_platforms_own_certificate_sends_nothing(live: Live) -> None:
    tls = live.data / "tls"
    files: dict[str, Any] = {"certificate": tls / "platform.pem", "private_key": tls / "platform.key"}
    assert WRONG_PURPOSE == await post(live, replace(live.profiles["pc"], **files))


async def test_a_certificate_of_a_channel_that_is_not_registered_sends_nothing(live: Live) -> None:
    key = new_private_key()
    async with live.office() as desk:
        csr = make_csr(key, uri=f"{CHANNEL_URI}ch_ghost", common_name="ghost")
        chain = administer.issue_channel_certificate(desk, "ch_ghost", csr)
    assert (403, "channel_unknown") == await post(
        live, replace(live.profiles["pc"], **certified(live, "ghost", chain, key))
    )


async def test_the_key_of_one_channel_does_not_sign_over_the_certificate_of_another(live: Live) -> None:
    pc, phone = live.profiles["pc"], live.profiles["phone"]
    assert (401, "signature_invalid") == await post(live, replace(pc, credentials=phone.credentials))
    posing = Credentials(sender=pc.credentials.sender, key=phone.credentials.key)
    assert (401, "signature_invalid") == await post(live, replace(pc, credentials=posing))


@pytest.mark.parametrize(
    ("key", "code"), [(Ed25519Private(), "signature_invalid"), (EcdsaPrivate(), "algorithm_refused")]
)
async def test_a_public_key_channel_is_known_by_its_registered_key_alone(
    live: Live, key: Ed25519Private | EcdsaPrivate, code: str
) -> None:
    own = live.profiles[f"{Ed25519Private.algorithm} pc"]
    posing = Credentials(sender=own.credentials.sender, key=key)
    assert (401, code) == await post(live, replace(own, credentials=posing))


async def test_a_registered_public_key_is_no_mac_key(live: Live) -> None:
    own = live.profiles[f"{Ed25519Private.algorithm} pc"]
    assert isinstance(own.credentials.key, Ed25519Private)
    posing = Credentials(sender=own.credentials.sender, key=HmacKey(own.credentials.key.public().pem()))
    assert (401, "algorithm_refused") == await post(live, replace(own, credentials=posing))


async def test_nothing_of_a_refused_message_is_kept(live: Live) -> None:
    amount = next(AMOUNTS)
    first, _ = a_payment(amount)
    await post(live, live.profiles["third"], first)
    await post(live, replace(live.profiles["pc"], credentials=live.profiles["phone"].credentials), first)
    assert amount not in await live.payments()
    await post(live, live.profiles["pc"], first)
    assert amount in await live.payments()


# Changes that another process makes while this one serves


async def test_a_suspended_channel_is_refused_and_a_resumed_one_accepted(live: Live) -> None:
    assert await paid(live, "to suspend")
    channel = live.profiles["to suspend"].credentials.sender
    assert "suspended" == (await operator(live, "channel", "suspend", channel))["state"]
    await asyncio.sleep(EFFECTIVE_S)
    assert "channel_suspended" == await refusal(live, "to suspend")
    assert await paid(live), "another channel is not concerned"
    await operator(live, "channel", "resume", channel)
    await asyncio.sleep(EFFECTIVE_S)
    assert await paid(live, "to suspend")


async def test_a_revoked_certificate_is_refused_on_an_open_connection_and_a_new_one(live: Live) -> None:
    assert await paid(live, "to revoke")
    serial = read_certificate(live.profiles["to revoke"].certificate.read_bytes()).serial
    await operator(live, "ca", "revoke", serial)
    await asyncio.sleep(EFFECTIVE_S)
    assert "certificate_revoked" == await refusal(live, "to revoke")
    assert (403, "certificate_revoked") == await post(live, live.profiles["to revoke"])
    assert await paid(live)


async def test_a_channel_added_by_another_process_pays_at_once(live: Live) -> None:
    place = live.home / "profiles" / "new"
    address = ("--profile-out", str(place), "--base-url", "https://localhost:1")
    await operator(live, "channel", "add", "new", "--kind", "bank_app", "--fields", "pin_block", *address)
    live.profiles["new"] = load_profile(place / "profile.json")
    assert await paid(live, "pc", "new")


async def test_changed_issuer_rules_decide_the_next_payment(live: Live) -> None:
    rules = await operator(live, "routes", "rules")
    before, without = live.home / "rules.json", live.home / "fewer.json"
    before.write_text(json.dumps(rules))
    without.write_text(json.dumps([rule for rule in rules if "unionpay" not in rule["schemes"]]))
    await operator(live, "routes", "import", str(without))
    amount = next(AMOUNTS)
    assert "refused" == await live.outcome(await live.pay(amount))
    ((payment, intents),) = (await live.payments())[amount]
    assert ("no_route", [], []) == (payment.reason, intents, live.asked(amount))
    await operator(live, "routes", "import", str(before))
    assert await paid(live)


async def test_a_payment_waits_while_its_institution_is_suspended_and_goes_once_when_it_is_active(live: Live) -> None:
    await operator(live, "institution", "status", live.bank.id, "suspended")
    amount = next(AMOUNTS)
    part = await live.pay(amount)
    await asyncio.sleep(0.3)
    assert [] == live.asked(amount)
    ((payment, _),) = (await live.payments())[amount]
    assert ("joined", "no_back_end_up") == (payment.state, payment.reason)
    await operator(live, "institution", "status", live.bank.id, "active")
    began = time.monotonic()
    await until(lambda: bool(live.asked(amount)))
    assert time.monotonic() - began < 10
    assert "approved" == await live.outcome(part)
    assert [True] == live.asked(amount)


async def test_no_change_needed_a_restart(live: Live) -> None:
    """Runs last: one process has served all of the above, and found nothing to complain of but what was done to it."""
    assert 1 == live.log.count("serving on port")
    assert "error" not in live.log
