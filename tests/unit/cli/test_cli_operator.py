"""The operator's commands, each on a platform of its own."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tallystick.config import load
from tallystick.crypto.jose import JweKey
from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.x509 import make_csr, new_private_key, read_certificate
from tallystick.sdk.settings import load_profile

Run = Callable[..., Result]
Ask = Callable[..., Any]
Private = Callable[..., str]

PASSWORD = "correct horse battery"
PAN = "6222021234567890"
UNIONPAY = ("institution", "add", "UnionPay", "--connector", "iso8583", "--schemes", "unionpay")
QIANBAO = ("institution", "add", "Qianbao", "--connector", "rest", "--schemes", "qianbao", "--numbers", "platform")
SHOP = ("channel", "add", "shop", "--kind", "merchant", "--fields", "pan,order")
ISO8583 = {
    "host": "bank.example",
    "port": 9000,
    "server_name": "bank.example",
    "acquirer": "48020000",
    "forwarder": "48020000",
    "terminal": "TALLY001",
    "merchant": "TALLYSTICK00001",
    "mac_key": "0123456789abcdef0123456789abcdef",
    "pin_key": "fedcba98765432100123456789abcdef",
}


def rest_settings(institution: str, port: int = 9) -> dict[str, Any]:
    return {
        "base_url": f"https://localhost:{port}",
        "institution": institution,
        "encryption_jwk": JweKey.generate("one").public_jwk(),
        "verify_key": Ed25519Private().public().pem().decode(),
        "accepts": ["account"],
    }


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(result: Result, *, code: int = 1) -> str:
    assert code == result.exit_code
    assert "" == result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr


def test_init_makes_a_platform_whose_settings_load_and_whose_keys_are_closed(platform: Path) -> None:
    assert 0 == load(platform, {}).gateway.port
    assert 0o700 == mode_of(platform)
    assert 0o600 == mode_of(platform / "tls" / "platform.key")


def test_init_settings_hold_as_they_stand_when_every_example_in_them_is_taken(
    run: Run, platform: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = platform / "tallystick.toml"
    examples = [
        line.removeprefix("# ") if line.startswith("# [") or " = " in line else line
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(examples))
    monkeypatch.setenv("TALLYSTICK_SMS__TOKEN", "x")
    monkeypatch.setenv("TALLYSTICK_SMTP__PASSWORD", "x")
    settings = load(platform)
    assert ("mail.example", "https://sms.example/messages") == (
        settings.smtp.host if settings.smtp else None,
        settings.sms.url if settings.sms else None,
    )
    assert "8 split policies" in run("doctor", "--json").stdout


def test_init_never_overwrites_a_platform(run: Run, platform: Path) -> None:
    before = (platform / "keys" / "vault-1.key").read_bytes()
    assert "remedy:" in refused(run("init"))
    assert before == (platform / "keys" / "vault-1.key").read_bytes()


def test_init_refuses_a_name_no_certificate_can_carry_before_it_makes_anything(run: Run, tmp_path: Path) -> None:
    refused(run("init", "--name", "no such name"))
    assert not (tmp_path / "data").exists()


def test_a_missing_platform_is_told_with_its_remedy_as_json_too(run: Run) -> None:
    error = json.loads(refused(run("channel", "list", "--json")))["error"]
    assert "misconfigured" == error["code"]
    assert "tallystick init" in error["detail"]
    assert error["remedy"]


def test_a_channel_gets_a_profile_that_the_sdk_loads_and_nobody_else_reads(
    run: Run, platform: Path, tmp_path: Path
) -> None:
    result = run(*SHOP, "--profile-out", "shop", "--base-url", "https://localhost:1", "--json")
    registered = json.loads(result.stdout)
    profile = load_profile(tmp_path / "shop" / "profile.json")
    assert ("https://localhost:1", registered["id"]) == (profile.base_url, profile.credentials.sender)
    assert {0o600} == {mode_of(tmp_path / "shop" / name) for name in ("mac.key", "private.key")}
    assert (tmp_path / "shop" / "mac.key").read_text() not in result.output


def test_a_profile_needs_an_address_and_an_unused_directory_before_a_channel_is_made(
    run: Run, ask: Ask, tmp_path: Path
) -> None:
    refused(run(*SHOP, "--profile-out", "shop"))
    (tmp_path / "shop").mkdir()
    refused(run(*SHOP, "--profile-out", "shop", "--base-url", "https://localhost:1"))
    assert [] == ask("channel", "list")


def test_a_mac_key_goes_to_a_private_file_and_nowhere_else(run: Run, platform: Path, tmp_path: Path) -> None:
    result = run(*SHOP, "--mac-key-out", "mac.key")
    assert 0 == result.exit_code
    assert 0o600 == mode_of(tmp_path / "mac.key")
    assert (tmp_path / "mac.key").read_text() not in result.output


def test_a_channel_with_its_own_key_is_registered_under_its_algorithm(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_bytes(Ed25519Private().public().pem())
    made = ask(*SHOP, "--public-key", "own.pem")
    assert ("ed25519", ["order", "pan"]) == (made["algorithm"], made["fields"])


def test_a_channel_needs_exactly_one_way_to_its_key_and_known_fields(run: Run, platform: Path) -> None:
    refused(run(*SHOP), code=2)
    refused(run(*SHOP, "--mac-key-out", "a", "--profile-out", "b"), code=2)
    refused(run("channel", "add", "shop", "--kind", "merchant", "--fields", "cvc", "--mac-key-out", "a"), code=2)


def test_a_channel_is_suspended_shown_and_resumed(run: Run, ask: Ask) -> None:
    channel = ask(*SHOP, "--profile-out", "shop", "--base-url", "https://localhost:1")["id"]
    assert "suspended" == ask("channel", "suspend", channel)["state"]
    shown = ask("channel", "show", channel)
    assert ("suspended", 1) == (shown["channel"]["state"], len(shown["certificates"]))
    assert "active" == ask("channel", "resume", channel)["state"]
    assert "no channel has this id" in refused(run("channel", "show", "ch_none"))


def test_a_certificate_is_issued_for_the_registered_id_whatever_the_request_says(ask: Ask, tmp_path: Path) -> None:
    channel = ask(*SHOP, "--profile-out", "shop", "--base-url", "https://localhost:1")["id"]
    request = make_csr(new_private_key(), uri="tallystick:channel:somebody-else", common_name="x")
    (tmp_path / "shop.csr").write_bytes(request)
    issued = ask("ca", "issue-channel", channel, "shop.csr", "--out", "shop.pem")
    assert (
        f"tallystick:channel:{channel}" == issued["uri"] == read_certificate((tmp_path / "shop.pem").read_bytes()).uri
    )


def test_a_certificate_is_not_issued_to_the_unknown_nor_over_a_file(run: Run, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "shop.csr").write_bytes(make_csr(new_private_key(), uri="tallystick:channel:x", common_name="x"))
    before = len(ask("ca", "list"))
    assert "no channel has this id" in refused(run("ca", "issue-channel", "ch_none", "shop.csr", "--out", "a.pem"))
    assert "no institution" in refused(run("ca", "issue-back-end", "12345678", "shop.csr", "--out", "a.pem"))
    institution = ask(*UNIONPAY)["id"]
    refused(run("ca", "issue-back-end", institution, "shop.csr", "--out", "shop.csr"))
    assert before == len(ask("ca", "list"))


def test_a_revoked_certificate_is_listed_as_such(run: Run, ask: Ask, tmp_path: Path) -> None:
    institution = ask(*UNIONPAY)["id"]
    (tmp_path / "bank.csr").write_bytes(make_csr(new_private_key(), uri="tallystick:institution:x", common_name="x"))
    arguments = ("ca", "issue-back-end", institution, "bank.csr", "--dns", "bank.example", "--out", "bank.pem")
    serial = ask(*arguments)["serial"]
    ask("ca", "revoke", serial)
    assert [serial] == [entry["serial"] for entry in ask("ca", "list") if entry["revoked"] is not None]
    assert "remedy:" in refused(run("ca", "revoke", "00"))


def test_trust_prints_a_path_that_exists(run: Run, platform: Path) -> None:
    assert Path(run("ca", "trust").stdout.strip()).is_file()


def test_an_institution_is_suspended_until_it_is_connected(ask: Ask, private: Private) -> None:
    made = ask(*UNIONPAY, "--currencies", "CNY,HKD")
    assert ("suspended", ["CNY", "HKD"], 8) == (made["status"], made["currencies"], len(made["id"]))
    settings = private("unionpay.json", json.dumps(ISO8583))
    assert "active" == ask("institution", "connect", made["id"], "--settings", settings)["status"]
    assert "draining" == ask("institution", "status", made["id"], "draining")["status"]


def test_connector_settings_that_others_may_read_are_refused(run: Run, ask: Ask, private: Private) -> None:
    institution = ask(*UNIONPAY)["id"]
    settings = private("open.json", json.dumps(ISO8583), mode=0o644)
    assert "chmod 600" in refused(run("institution", "connect", institution, "--settings", settings))


@pytest.mark.parametrize("wrong", [{**ISO8583, "mac_key": "c0ffee"}, {**ISO8583, "port": "c0ffee"}, ["c0ffee"]])
def test_wrong_connector_settings_are_refused_without_a_word_of_their_values(
    wrong: Any, run: Run, ask: Ask, private: Private
) -> None:
    institution = ask(*UNIONPAY)["id"]
    said = refused(run("institution", "connect", institution, "--settings", private("x.json", json.dumps(wrong))))
    assert "remedy:" in said
    assert "c0ffee" not in said


def test_a_renewal_that_never_comes_and_a_strange_scheme_are_refused(run: Run, ask: Ask) -> None:
    assert "--zone" in refused(run(*QIANBAO, "--zone", "Nowhere/Land"))
    assert "--renew-at" in refused(run(*QIANBAO, "--renew-at", "25:00"))
    refused(run("institution", "add", "X", "--connector", "rest", "--schemes", "Übel"), code=2)
    assert [] == ask("institution", "list")


def test_payments_are_listed_and_an_unknown_one_is_refused(run: Run, ask: Ask) -> None:
    assert [] == ask("payment", "list")
    assert "no payment has this id" in refused(run("payment", "show", "pay_none"))


def test_a_user_is_registered_by_a_password_that_is_typed_or_in_a_private_file(
    run: Run, ask: Ask, private: Private
) -> None:
    typed = ask("user", "add", "lihua", "--phone", "+8613800138000", typed=f"{PASSWORD}\n")
    assert ("lihua", "usr_") == (typed["username"], typed["user"][:4])
    ask("user", "add", "wang", "--email", "w@example.org", "--password-file", private("w.txt", f"{PASSWORD}\n"))
    assert "already" not in refused(run("user", "add", "li", "--email", "l@example.org", typed="short\n"))
    opened = private("open.txt", PASSWORD, mode=0o640)
    refused(run("user", "add", "x", "--email", "x@example.org", "--password-file", opened))
    refused(run("user", "add", "x", "--email", "x@example.org"), code=2)


def test_a_credential_is_stored_by_its_owners_password_only(run: Run, ask: Ask, private: Private) -> None:
    institution = ask(*QIANBAO)["id"]
    ask("user", "add", "lihua", "--email", "l@example.org", typed=f"{PASSWORD}\n")
    account = private("account.json", '{"account": "qianbao:lihua", "secret": "river-stone"}')
    arguments = ("user", "credential", "lihua", "--institution", institution)
    stored = run(*arguments, "--from-file", account, typed=f"{PASSWORD}\n")
    assert 0 == stored.exit_code
    assert "river-stone" not in stored.output
    assert "too many wrong tries" in refused(run(*arguments, "--from-file", account, typed="wrong horse battery\n"))
    typed = run(*arguments, "--kind", "account", typed=f"{PASSWORD}\nqianbao:lihua\nriver-stone\n")
    assert 0 == typed.exit_code
    assert "river-stone" not in typed.output


def test_a_card_is_stored_without_what_was_left_empty(ask: Ask) -> None:
    institution = ask(*UNIONPAY)["id"]
    ask("user", "add", "lihua", "--email", "l@example.org", typed=f"{PASSWORD}\n")
    arguments = ("user", "credential", "lihua", "--institution", institution, "--kind", "card")
    assert "card" == ask(*arguments, typed=f"{PASSWORD}\n{PAN}\n\n\n")["kind"]


@pytest.mark.parametrize("fields", ['{"cvc": "123"}', '{"pan": 6222}', '{"account": "qianbao:lihua"}', "[]", "{"])
def test_fields_that_are_no_credential_are_refused_without_their_values(
    fields: str, run: Run, ask: Ask, private: Private
) -> None:
    institution = ask(*QIANBAO)["id"]
    file = private("fields.json", fields)
    said = refused(
        run("user", "credential", "lihua", "--institution", institution, "--from-file", file, typed=f"{PASSWORD}\n")
    )
    assert not {"123", "6222", "lihua"} & set(said.replace('"', " ").split())


def test_numbers_are_made_once_a_period_for_enrolled_users(ask: Ask, private: Private) -> None:
    institution = ask(*QIANBAO)["id"]
    ask("user", "add", "lihua", "--email", "l@example.org", typed=f"{PASSWORD}\n")
    account = private("account.json", '{"account": "qianbao:lihua", "secret": "river-stone"}')
    ask("user", "credential", "lihua", "--institution", institution, "--from-file", account, typed=f"{PASSWORD}\n")
    assert [{"institution": institution, "made": 1, "unreachable": 0}] == ask("user", "numbers", "renew")
    assert [{"institution": institution, "made": 0, "unreachable": 0}] == ask("user", "numbers", "renew")
