"""Settings of a trial, and machines that leak."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.checks.model import Machine

Fault = Callable[..., str | None]
MAIL = '[smtp]\nhost = "127.0.0.1"\nport = 25\nsender = "a@pay.example"\nsecurity = "{}"\nusername = "a"\n'


@pytest.mark.parametrize(
    "check",
    [
        "settings",
        "default secrets",
        "secrets in the environment",
        "mail encryption",
        "webhook addresses",
        "core dumps",
        "core handler",
        "swap",
        "user",
        "umask",
        "versions",
    ],
)
def test_a_new_platform_on_a_healthy_machine_is_well(fault: Fault, check: str) -> None:
    assert fault(check) is None


@pytest.mark.parametrize("secret", ["changeme", "bamboo-kettle-92", "Secret"])
def test_a_default_secret_is_named_and_never_shown(
    fault: Fault, setting: Callable[[str], None], tmp_path: Path, secret: str
) -> None:
    setting(MAIL.format("starttls") + '[sms]\nurl = "https://sms.example/x"')
    (tmp_path / "own").write_text("t7Gq-ember-lattice")
    (tmp_path / "default").write_text(secret)
    name = "TALLYSTICK_SMTP__PASSWORD_FILE"
    environ = {name: str(tmp_path / "own"), "TALLYSTICK_SMS__TOKEN_FILE": str(tmp_path / "own")}
    assert fault("default secrets", environ=environ) is None
    said = fault("default secrets", environ=environ | {name: str(tmp_path / "default")})
    assert "smtp.password is a default that everybody knows" == said


def test_a_secret_in_the_environment_is_told_by_its_variable_only(fault: Fault) -> None:
    environ = {"TALLYSTICK_SMTP__PASSWORD": "9f2-quarry", "TALLYSTICK_SMS__TOKEN_FILE": "a", "OTHER_PASSWORD": "b"}
    assert "TALLYSTICK_SMTP__PASSWORD holds a secret" == fault("secrets in the environment", environ=environ)


def test_mail_in_the_clear_is_found(fault: Fault, setting: Callable[[str], None]) -> None:
    setting(MAIL.format("none"))
    assert "smtp.security is none: codes travel in the clear" == fault("mail encryption")


def test_encrypted_mail_is_well(fault: Fault, setting: Callable[[str], None]) -> None:
    setting(MAIL.format("tls"))
    assert fault("mail encryption") is None


def test_webhooks_to_private_addresses_are_found(fault: Fault, setting: Callable[[str], None]) -> None:
    setting("[webhooks]\nallow_private = true")
    assert "webhooks.allow_private is on" == fault("webhook addresses")


def test_changes_by_one_person_are_found_until_four_eyes_are_on(fault: Fault, setting: Callable[[str], None]) -> None:
    assert str(fault("four eyes")).startswith("routing.four_eyes is off")
    setting("[routing]\nfour_eyes = true")
    assert "four_eyes.keys is off; four_eyes.ca is off; four_eyes.limits is off; four_eyes.operators is off" == fault(
        "four eyes"
    )
    setting("[four_eyes]\nkeys = true\nca = true\nlimits = true\noperators = true")
    assert fault("four eyes") is None


@pytest.mark.parametrize(
    ("check", "machine", "said"),
    [
        ("core dumps", {"core_limit": -1}, "core dumps are on"),
        ("core handler", {"core_pattern": "|/usr/share/apport/apport %p"}, "hands core dumps to a program"),
        ("swap", {"swaps": "Filename Type\n/dev/sdb2 partition\n"}, "1 swap areas are in use"),
        ("user", {"user": 0}, "runs as root"),
        ("umask", {"umask": 0o022}, "the umask is 022"),
        ("versions", {"python": (3, 11, 4)}, "Python 3.11.4 has known faults: 3.11.5 is wanted"),
        ("versions", {"openssl": (3, 0, 6)}, "OpenSSL 3.0.6 has known faults: 3.0.7 is wanted"),
    ],
)
def test_a_machine_that_leaks_is_found(fault: Fault, check: str, machine: dict[str, Any], said: str) -> None:
    assert said in str(fault(check, **machine))


def test_a_system_without_proc_is_not_accused(fault: Fault) -> None:
    silent = {"swaps": "", "mounts": "", "core_pattern": ""}
    assert {None} == {fault(check, **silent) for check in ("swap", "core handler", "file system")}


def test_this_machine_is_looked_at() -> None:
    found = Machine.this()
    assert found.python >= (3, 11, 0)
    assert found.openssl >= (1, 1, 1)
    assert found == Machine.this()
