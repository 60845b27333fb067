"""Settings: which source wins, what is refused, and that no secret is in the TOML or in an error."""

from pathlib import Path

import pytest

from tallystick.config import FILE_NAME, Settings, load
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

SMTP = '[smtp]\nhost = "mail.example.org"\nport = 587\nsender = "pay@example.org"\n'


def settings(path: Path, toml: str, **environ: str) -> Settings:
    (path / FILE_NAME).write_text(toml, encoding="utf-8")
    return load(path, environ)


def refusal(path: Path, toml: str, **environ: str) -> str:
    with pytest.raises(Misconfigured) as refused:
        settings(path, toml, **environ)
    return refused.value.detail


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    assert Settings() == settings(tmp_path, "")


def test_the_file_says_what_is_not_default_and_the_environment_overrules_it(tmp_path: Path) -> None:
    toml = '[gateway]\nport = 9000\nhost = "0.0.0.0"'
    assert (9000, "0.0.0.0") == (settings(tmp_path, toml).gateway.port, settings(tmp_path, toml).gateway.host)  # noqa: S104
    assert 9001 == settings(tmp_path, toml, TALLYSTICK_GATEWAY__PORT="9001").gateway.port


def test_a_secret_comes_from_the_environment_or_a_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n", encoding="utf-8")
    by_file = settings(tmp_path, SMTP, TALLYSTICK_SMTP__PASSWORD_FILE=str(tmp_path / "password"))
    by_value = settings(tmp_path, SMTP, TALLYSTICK_SMTP__PASSWORD="s3cret")
    for read in (by_file, by_value):
        assert read.smtp is not None
        assert Secret("s3cret") == read.smtp.password
        assert "s3cret" not in repr(read)


@pytest.mark.parametrize("toml", [SMTP + 'password = "CANARY"', '[sms]\nurl = "https://x"\ntoken = "CANARY"'])
def test_a_secret_in_the_file_is_refused_with_the_name_of_its_variable(tmp_path: Path, toml: str) -> None:
    detail = refusal(tmp_path, toml)
    assert "TALLYSTICK_S" in detail
    assert "CANARY" not in detail


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        ("[gateway]\nprot = 1", {}),
        ("surplus = 1", {}),
        ('[gateway]\nport = "CANARY"', {}),
        ("smtp = 7", {}),
        ("sms = true", {}),
        ("gateway = 7", {"TALLYSTICK_GATEWAY__PORT": "1"}),
        ("", {"TALLYSTICK_GATEWAY__PORT": "CANARY"}),
        ("", {"TALLYSTICK_NOWHERE__PORT": "CANARY"}),
        (SMTP, {"TALLYSTICK_SMTP__PASSWORD_FILE": "/nowhere/CANARY"}),
        ("this is no TOML CANARY", {}),
    ],
)
def test_a_wrong_setting_stops_the_process_without_being_repeated(
    tmp_path: Path, toml: str, environ: dict[str, str]
) -> None:
    assert "CANARY" not in refusal(tmp_path, toml, **environ)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="tallystick init"):
        load(tmp_path, {})


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    assert Settings() == settings(tmp_path, "", PATH="/bin", OTHER__PORT="1", TALLYSTICK_HOME="x")
