"""What integrators' commands refuse before they speak to a platform."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tallystick.cli.listen import FIXTURES

Run = Callable[..., Result]


@pytest.fixture
def files(tmp_path: Path, private: Callable[..., str], platform: Path) -> list[str]:
    return ["--key-file", private("test.key", "tsk_test_x\n"), "--ca", str(platform / "ca" / "trust.pem")]


def test_a_payment_is_created_by_a_profile_or_a_key_and_never_by_neither(run: Run, platform: Path) -> None:
    result = run("payment", "create", "--policy", "account", "--order", "payee=A,amount=1,currency=EUR")
    assert (2, True) == (result.exit_code, "--profile, or --key-file and --ca" in result.stderr)


def test_a_key_that_others_may_read_is_refused(run: Run, private: Callable[..., str], platform: Path) -> None:
    key = private("open.key", "tsk_test_x\n", mode=0o644)
    result = run("trigger", "payment.approved", "--key-file", key, "--ca", str(platform / "ca" / "trust.pem"))
    assert (1, True) == (result.exit_code, "chmod 600" in result.stderr)


def test_events_are_forwarded_to_no_other_machine(run: Run, files: list[str]) -> None:
    result = run("listen", "--forward-to", "https://shop.example/", *files)
    assert (1, True) == (result.exit_code, "on this machine" in result.stderr)


def test_a_half_that_nobody_plays_is_no_play(run: Run, files: list[str]) -> None:
    result = run("test", "pay", "pay_1", "--first-part", "wait", "--second-part", "wait", *files)
    assert 2 == result.exit_code


def test_a_platform_that_is_not_there_is_said_with_a_remedy(
    run: Run, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    result = run("test", "advance", "pay_1", "--seconds", "1", "--url", "https://localhost:1", *files)
    assert (1, True) == (result.exit_code, "remedy:" in result.stderr)


def test_each_event_of_test_mode_has_a_fixture() -> None:
    assert {"payment.approved", "payment.declined", "payment.unknown", "payment.cancelled", "payment.expired"} == set(
        FIXTURES
    )
