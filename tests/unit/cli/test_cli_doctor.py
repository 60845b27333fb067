"""What doctor finds on a platform that is well, and on one with one thing wrong."""

import json
import os
import resource
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tallystick.cli.checks.catalogue import CHECKS
from tallystick.cli.demo import world

Run = Callable[..., Result]


def failing(run: Run, *arguments: str) -> dict[str, Any]:
    """Return the failed checks by name, and see that the exit code tells the same."""
    result = run("doctor", "--json", *arguments)
    report = json.loads(result.stdout)
    failed = {finding["check"]: finding for finding in report["findings"] if finding["result"] == "failed"}
    assert (0 if report["ok"] else 1) == result.exit_code
    assert report["ok"] is not bool(failed)
    assert all(finding["remedy"] for finding in failed.values())
    return failed


def test_a_new_platform_is_well(run: Run, platform: Path) -> None:
    assert {} == failing(run)
    assert 0 == run("doctor").exit_code


def test_where_there_is_no_platform_one_finding_says_so(run: Run) -> None:
    assert ["settings"] == list(failing(run))


def test_an_unknown_setting_is_found(run: Run, platform: Path) -> None:
    with (platform / "tallystick.toml").open("a") as file:
        file.write("\n[gatevay]\nport = 1\n")
    assert "settings" in failing(run)


@pytest.mark.parametrize(
    ("place", "check"),
    [("", "directories"), ("epochs", "directories"), ("keys/vault-1.key", "keys"), ("store.db", "private files")],
)
def test_what_is_open_to_others_is_found(run: Run, platform: Path, place: str, check: str) -> None:
    path = platform / place
    path.chmod(path.stat().st_mode | 0o040)
    assert check in failing(run)


@pytest.mark.parametrize(
    ("place", "check"),
    [
        ("keys/at-rest-1.key", "keys"),
        ("ca/crl.pem", "revocation list"),
        ("tls/platform.pem", "certificates"),
        ("store.db", "store"),
    ],
)
def test_what_is_missing_is_found(run: Run, platform: Path, place: str, check: str) -> None:
    (platform / place).unlink()
    assert check in failing(run)


def test_a_certificate_of_another_key_is_found(run: Run, platform: Path) -> None:
    (platform / "tls" / "platform.key").write_bytes((platform / "ca" / "issuing.key").read_bytes())
    assert ["certificates"] == list(failing(run))


def test_a_certificate_that_ends_soon_is_found(run: Run, platform: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.cli.checks.certificates.DAYS_MIN", 31)
    monkeypatch.setattr("tallystick.cli.checks.certificates.LIFE_MIN", 1)
    assert "platform.pem is valid for 719 hours more" == failing(run)["certificates"]["seen"]


def test_a_damaged_store_is_found(run: Run, platform: Path) -> None:
    (platform / "store.db").write_bytes(b"no database at all" * 1000)
    assert {"store", "connectors"} <= set(failing(run))


def test_a_clock_that_was_put_back_is_found(run: Run, platform: Path) -> None:
    tomorrow = time.time() + 24 * 3600
    os.utime(platform / "tallystick.toml", (tomorrow, tomorrow))
    assert ["clock"] == list(failing(run))


def test_settings_of_a_connector_that_do_not_open_are_found(run: Run, platform: Path, tmp_path: Path) -> None:
    made = run("institution", "add", "Bank", "--connector", "iso8583", "--schemes", "unionpay", "--json")
    settings = tmp_path / "settings.json"
    settings.touch(0o600)
    keys = {"mac_key": "0123456789abcdef0123456789abcdef", "pin_key": "fedcba98765432100123456789abcdef"}
    texts = {"server_name": "b", "acquirer": "1", "forwarder": "1", "terminal": "TALLY001", "merchant": "T" * 15}
    settings.write_text(json.dumps({"host": "b", "port": 9, **keys, **texts}))
    run("institution", "connect", json.loads(made.stdout)["id"], "--settings", str(settings))
    assert {} == failing(run)
    key = platform / "keys" / "at-rest-1.key"
    key.write_text(key.read_text().replace('"key":"', '"key":"AAAA')[:-1])
    assert {"keys", "connectors"} <= set(failing(run))


def test_another_program_on_the_port_is_found_and_a_free_port_is_well(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run("init", "--port", str(port))
        other.close()
        assert {} == failing(run)


def test_a_program_that_speaks_no_tls_on_the_port_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.cli.checks.certificates.CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as other:
        run("init", "--port", str(other.getsockname()[1]))
        assert ["listener"] == list(failing(run))


# --production


@pytest.fixture
def no_core() -> Iterator[None]:
    """Switch core dumps off for the length of a test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.usefixtures("no_core")
def test_what_is_unsafe_fails_in_production_only_and_a_platform_made_safe_passes(run: Run, platform: Path) -> None:
    assert {} == failing(run)
    assert ["four eyes", "operators"] == list(failing(run, "--production"))
    run("operator", "add", "ann", "--role", "operator", "--key-out", "ann.key")
    run("--operator-key", "ann.key", "operator", "add", "bo", "--role", "approver", "--key-out", "bo.key")
    with (platform / "tallystick.toml").open("a") as file:
        file.write(
            "\n[routing]\nfour_eyes = true\n\n[four_eyes]\nkeys = true\nca = true\nlimits = true\noperators = true\n"
        )
    assert {} == failing(run, "--production")


@pytest.mark.usefixtures("no_core")
def test_the_demo_s_settings_never_pass_for_production(run: Run, platform: Path) -> None:
    (platform / "tallystick.toml").write_text(world.SETTINGS.format(smtp_port=25, pc_port=8446, phone_port=8447))
    assert {} == failing(run)
    assert ["mail encryption", "webhook addresses", "four eyes", "operators"] == list(failing(run, "--production"))


def test_a_warning_never_fails_and_what_stops_the_platform_always_does(run: Run, platform: Path) -> None:
    report = json.loads(run("doctor", "--production", "--json").stdout)
    results = {finding["check"]: finding["result"] for finding in report["findings"]}
    assert report["production"]
    assert "warning" == results["root key"]
    (platform / "keys" / "vault-1.key").unlink()
    assert {"keys"} <= set(failing(run))
    assert {"keys"} <= set(failing(run, "--production"))


def test_each_finding_has_exactly_what_a_program_reads(run: Run, platform: Path) -> None:
    report = json.loads(run("doctor", "--json").stdout)
    assert [check.name for check in CHECKS] == [finding["check"] for finding in report["findings"]]
    assert {("check", "remedy", "result", "seen")} == {tuple(sorted(finding)) for finding in report["findings"]}
    assert all((finding["result"] == "ok") is (finding["remedy"] is None) for finding in report["findings"])


def test_a_check_that_breaks_is_a_finding_and_the_others_are_made(run: Run, platform: Path) -> None:
    with (platform / "tallystick.toml").open("a") as file:
        file.write('\n[smtp]\nhost = "a"\nport = 25\nsender = "a@b.example"\nsecurity = "planted"\n')
    failed = failing(run, "--production")
    assert failed["settings"]["seen"].startswith("the check broke: ValueError at ")
    assert "smtp.security is planted: codes travel in the clear" == failed["mail encryption"]["seen"]
    assert "listener" not in failed


def test_people_see_what_failed_first_and_never_what_is_well(run: Run, platform: Path) -> None:
    lines = run("doctor", "--production").stdout.splitlines()
    results = [line.split()[0] for line in lines[1:-1]]
    assert {"failed", "warning"} == set(results)
    assert sorted(results) == results
    assert f"{len(CHECKS) - len(results)} of {len(CHECKS)} checks" in lines[-1]
