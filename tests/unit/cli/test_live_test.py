"""`institution test` names the step that fails, what failed in it, and what to do."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tallystick import config
from tallystick.adapters.ca_files import FileCa
from tallystick.bootstrap.layout import PLATFORM_URI, create
from tallystick.bootstrap.office import Office, office
from tallystick.bootstrap.presenting import Presenting
from tallystick.cli import administer
from tallystick.cli.live_test import LiveTest, live_test
from tallystick.cli.output import Failure
from tallystick.crypto import x509
from tallystick.crypto.ca import BACK_END, DAY_MS
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.tls import server_context
from tallystick.testing.sandbox.rest import RestSandbox, RestSandboxConfig

URI = "tallystick:institution:bank"
Run = Callable[..., Result]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    create(tmp_path / "data", '[gateway]\nhost = "127.0.0.1"\nport = 0\n')
    async with office(tmp_path / "data", config.load(tmp_path / "data", {})) as made:
        await Presenting(made).ensure()
        yield made


def private(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


def certified(ca: FileCa, place: Path, desk: Office) -> tuple[str, str]:
    key = x509.new_private_key()
    csr = x509.make_csr(key, uri=URI, dns=["localhost"], common_name="bank")
    chain = ca.issue(csr, BACK_END, uri=URI, dns=["localhost"], now=desk.clock.now(), life=DAY_MS)
    return private(place / "bank.pem", chain), private(place / "bank.key", key)


async def institution(desk: Office, connector: str = "rest") -> str:
    made = await administer.add_institution(
        desk, name="Bank", connector=connector, schemes=frozenset({"qianbao"}), author="test"
    )
    return made.id


async def connected(desk: Office, port: int, **others: Any) -> str:
    bank = await institution(desk)
    settings = {
        "base_url": f"https://localhost:{port}",
        "institution": bank,
        "encryption_jwk": JweKey.generate("one").public_jwk(),
        "verify_key": Ed25519Private().public().pem().decode(),
        "accepts": ["account"],
        "timeout_s": 2,
        **others,
    }
    await administer.set_connector(desk, bank, settings)
    return bank


@contextlib.asynccontextmanager
async def hanging_up(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Listen with TLS and close every connection at once."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def failed_in(tested: LiveTest, failure: Failure | None) -> tuple[str, str]:
    """Return the step that failed and its text; all before it passed."""
    assert failure is not None
    assert not tested.answers
    assert [step.passed for step in tested.steps] == [True] * (len(tested.steps) - 1) + [False]
    assert failure.field == tested.steps[-1].step
    assert failure.remedy
    return tested.steps[-1].step, tested.steps[-1].detail


async def test_an_institution_that_was_never_connected_fails_at_its_settings(desk: Office) -> None:
    step, why = failed_in(*await live_test(desk, await institution(desk)))
    assert ("settings", "this back end has no connector settings") == (step, why)


async def test_an_address_where_nobody_listens_fails_at_the_connection(desk: Office) -> None:
    step, why = failed_in(*await live_test(desk, await connected(desk, 9)))
    assert "connection" == step
    assert why.startswith("no connection: ")


async def test_a_certificate_of_another_authority_fails_at_the_connection(desk: Office, tmp_path: Path) -> None:
    stranger = FileCa.create(tmp_path / "stranger", name="stranger", now=desk.clock.now())
    chain, key = certified(stranger, tmp_path, desk)
    async with hanging_up(server_context(Path(chain), Path(key), None)) as port:
        step, why = failed_in(*await live_test(desk, await connected(desk, port)))
    assert "connection" == step
    assert why.startswith("the back end's certificate is not accepted: ")


async def test_a_certificate_of_another_name_fails_at_the_connection(desk: Office, tmp_path: Path) -> None:
    chain, key = certified(desk.ca, tmp_path, desk)
    async with hanging_up(server_context(Path(chain), Path(key), None)) as port:
        bank = await connected(desk, port, server_name="other.example")
        step, why = failed_in(*await live_test(desk, bank))
    assert "connection" == step
    assert "mismatch" in why


async def test_a_back_end_that_hangs_up_after_tls_fails_at_the_sign_on(desk: Office, tmp_path: Path) -> None:
    chain, key = certified(desk.ca, tmp_path, desk)
    async with hanging_up(server_context(Path(chain), Path(key), desk.ca.trust)) as port:
        tested, failure = await live_test(desk, await connected(desk, port))
    assert "sign-on" == failed_in(tested, failure)[0]
    shown = tested.steps[1].detail
    assert f"localhost port {port}, TLSv1.3, certificate " in shown
    assert f" for {URI}, localhost, until " in shown


async def test_a_back_end_that_answers_passes_every_step(desk: Office, tmp_path: Path) -> None:
    chain, key = certified(desk.ca, tmp_path, desk)
    signing, sealing = Ed25519Private(), JweKey.generate("one")
    config_ = RestSandboxConfig(
        institution="bank",
        chain=chain,
        key=key,
        client_ca=str(desk.ca.trust),
        platform_uri=PLATFORM_URI,
        platform_key=private(tmp_path / "platform.pub", desk.keyring.identity.public().pem()),
        platform_keyid=PLATFORM_URI,
        signing_key=private(tmp_path / "sign.key", signing.pem()),
        signing_keyid="bank",
        encryption_key=private(tmp_path / "jwe.key", sealing.private_bytes()),
        encryption_kid="one",
        accounts={"qianbao:alice": "secret"},
    )
    async with RestSandbox(config_) as sandbox:
        tested, failure = await live_test(
            desk, await connected(desk, sandbox.port, verify_key=signing.public().pem().decode())
        )
    assert failure is None
    assert tested.answers
    assert ["settings", "connection", "sign-on", "echo", "recovery"] == [step.step for step in tested.steps]
    assert "(0 days left)" in tested.steps[1].detail


async def test_a_back_end_that_fetches_is_there_once_it_polled(desk: Office) -> None:
    bank = await institution(desk, "pull")
    settings = {"encryption_jwk": JweKey.generate("one").public_jwk(), "accepts": ["card"]}
    await administer.set_connector(desk, bank, settings)
    step, why = failed_in(*await live_test(desk, bank))
    assert "sign-on" == step
    assert "has not asked for deliveries" in why

    await desk.store.transact(lambda books: books.note_poll(bank, desk.clock.now()))
    tested, failure = await live_test(desk, bank)
    assert (None, ["settings", "sign-on", "echo", "recovery"]) == (failure, [each.step for each in tested.steps])
    assert tested.steps[-1].detail == "after an unknown outcome: inquiry, reversal"


def test_the_command_shows_the_steps_as_json_and_fails_with_the_remedy(run: Run, platform: Path) -> None:
    made = run("institution", "add", "Bank", "--connector", "rest", "--schemes", "qianbao", "--json")
    result = run("institution", "test", json.loads(made.stdout)["id"], "--json")
    assert 1 == result.exit_code
    assert [("settings", False)] == [(each["step"], each["passed"]) for each in json.loads(result.stdout)["steps"]]
    error = json.loads(result.stderr)["error"]
    assert ("test_failed", "settings") == (error["code"], error["field"])
    assert "institution connect" in error["remedy"]


def test_a_connector_that_nobody_installed_is_refused_with_the_ones_there_are(run: Run, platform: Path) -> None:
    result = run("institution", "add", "Bank", "--connector", "planted", "--schemes", "qianbao")
    assert 2 == result.exit_code
    assert "account, iso8583, pull, rest, test, visa" in result.stderr
