"""What commands print, ask for and log."""

import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import Result
from msgspec import Struct

from tallystick.cli import inputs, logs, output
from tallystick.cli.output import Failure
from tallystick.errors import FieldInvalid, NotSent
from tallystick.secret import Secret
from tallystick.wire.part import BackEndElement, CodeElement, InstitutionElement, PhoneElement, WireOrder

Run = Callable[..., Result]


class Thing(Struct, frozen=True):
    name: str
    created_at: int
    fields: frozenset[str] = frozenset()
    on: bool = False
    nothing: str | None = None


def give(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def line(*, as_json: bool, record: logging.LogRecord) -> str:
    return logs.Line(as_json=as_json).format(record)


def test_a_record_is_aligned_text_with_times_in_utc(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_record(Thing("a", 1_767_268_800_000, frozenset({"x", "b"}), on=True))
    lines = [
        "name        a",
        "created_at  2026-01-01 12:00:00Z",
        "fields      b, x",
        "on          yes",
        "nothing     -",
    ]
    assert lines == capsys.readouterr().out.splitlines()


def test_a_table_is_never_cut_in_a_pipe_and_carries_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_table([Thing("x" * 300, 0), Thing("\x1b[31m[bold]red", 0)], ("name",))
    written = capsys.readouterr().out
    assert "x" * 300 in written
    assert "\N{REPLACEMENT CHARACTER}[31m[bold]red" in written
    assert "\x1b" not in written


def test_no_colour_reaches_a_terminal_that_asks_for_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.write_table([Thing("a", 0)], ("name",))
    assert "\x1b[3" not in capsys.readouterr().out


def test_a_secret_in_a_document_is_an_error_and_no_mask() -> None:
    with pytest.raises(TypeError):
        output.write_json({"pan": Secret("6222021234567890")})


def test_a_failure_says_detail_field_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    Failure.of(FieldInvalid("too short", field="password")).show()
    assert capsys.readouterr().err.splitlines() == [
        "error: too short (see password)",
        "remedy: Correct the named field and send a new message.",
    ]


def test_an_unexpected_error_is_told_by_type_and_place_never_by_its_text(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("6222021234567890")

    monkeypatch.setattr("tallystick.config.load", fail)
    result = run("channel", "list")
    assert 1 == result.exit_code
    assert "unexpected ValueError at test_cli_words.py" in result.stderr
    assert "6222021234567890" not in result.output


def test_a_file_that_cannot_be_used_is_told_by_name_and_reason(run: Run, platform: Path, tmp_path: Path) -> None:
    (tmp_path / "profiles").touch()
    arguments = ("--kind", "merchant", "--fields", "pan", "--profile-out", "profiles/shop")
    result = run("channel", "add", "shop", *arguments, "--base-url", "https://localhost:1")
    assert 1 == result.exit_code
    assert "Not a directory" in result.stderr


def test_fields_are_read_in_the_order_named_and_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    give(monkeypatch, "6222\n3012\n")
    file = tmp_path / "fields.json"
    file.touch(0o600)
    file.write_text('{"secret": "s"}')
    fields = inputs.read_fields(("pan", "expiry=-"), file)
    assert {"secret": Secret("s"), "pan": Secret("6222"), "expiry": Secret("3012")} == fields


@pytest.mark.parametrize("given", ["pan=6222", "pan=", "cvc", "cvc=-"])
def test_a_field_given_by_value_or_unknown_is_wrong_usage_and_not_repeated(given: str) -> None:
    with pytest.raises(click.BadParameter) as refusal:
        inputs.read_fields((given,), None)
    assert "6222" not in refusal.value.format_message()


def test_standard_input_that_ends_too_soon_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, "")
    with pytest.raises(click.UsageError, match="pan"):
        inputs.read_fields(("pan",), None)


@pytest.mark.parametrize(
    ("text", "element"),
    [
        ("phone=+8613800138000", PhoneElement("+8613800138000")),
        ("code=-", CodeElement("typed")),
        ("institution=12345678,number=-", InstitutionElement("12345678", "typed")),
        ("value=v, institution=12345678", BackEndElement("12345678", "v")),
    ],
)
def test_an_element_is_read(text: str, element: object, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, "typed\n")
    assert element == inputs.read_element(text)


@pytest.mark.parametrize("text", ["", "phone", "phone=1,code=2", "phone=1,phone=2", "institution=1", 'phone="1'])
def test_an_element_of_a_wrong_form_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter):
        inputs.read_element(text)


def test_an_order_keeps_a_comma_in_quotes() -> None:
    expected = WireOrder(payee="O'Brien, Tea", amount=1250, currency="CNY", reference="r=1")
    assert expected == inputs.read_order('payee="O\'Brien, Tea",amount=1250,currency=CNY,reference=r=1')


@pytest.mark.parametrize("text", ["payee=a", "payee=a,amount=x,currency=CNY", "payee=a,amount=1,currency=CNY,tip=1"])
def test_an_order_of_a_wrong_form_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.BadParameter):
        inputs.read_order(text)


def test_an_order_no_platform_would_take_is_refused_before_it_is_sent() -> None:
    with pytest.raises(FieldInvalid):
        inputs.read_order("payee=a,amount=0,currency=CNY")


def test_a_private_file_has_a_bound_and_a_password_file_a_first_line(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(0o600)
    with pytest.raises(Failure, match="empty"):
        inputs.read_password(file, "Password")
    file.write_bytes(b"x" * (inputs.FILE_MAX + 1))
    with pytest.raises(Failure, match="bytes"):
        inputs.read_private(file)


def test_a_log_line_of_ours_has_its_message_and_one_of_a_library_only_its_template() -> None:
    ours = logging.LogRecord("tallystick.path", logging.INFO, "f", 1, "payment %s", ("pay_1",), None)
    theirs = logging.LogRecord("asyncio", logging.ERROR, "f", 1, "lost %s\nbody=%s", ("6222", "6222"), None)
    entry = json.loads(line(as_json=True, record=ours))
    assert ("payment pay_1", "info", "tallystick.path") == (entry["message"], entry["level"], entry["logger"])
    assert "lost %s" == json.loads(line(as_json=True, record=theirs))["message"]
    assert line(as_json=False, record=theirs).endswith("error asyncio lost %s")


def test_a_logged_exception_is_told_by_type_and_place_and_only_ours_by_its_detail() -> None:
    entries = []
    for error in (ValueError("6222"), NotSent("no connection")):
        try:
            raise error
        except (ValueError, NotSent):
            record = logging.LogRecord("tallystick.path", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
        entries.append(msgspec.json.decode(line(as_json=True, record=record), type=dict[str, str]))
    assert "ValueError at test_cli_words.py" in entries[0]["fault"]
    assert "6222" not in str(entries[0])
    assert "no connection" == entries[1]["detail"]


def test_every_log_entry_is_one_line() -> None:
    record = logging.LogRecord("tallystick.x", logging.INFO, "f", 1, "a\nb", (), None)
    assert (
        1 == len(line(as_json=True, record=record).splitlines()) == len(line(as_json=False, record=record).splitlines())
    )


def test_other_libraries_are_heard_from_warning_on(monkeypatch: pytest.MonkeyPatch) -> None:
    root, ours = logging.getLogger(), logging.getLogger(logs.OURS)
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(ours, "level", ours.level)
    logs.configure(as_json=True, level="debug")
    assert not logging.getLogger("httpx2").isEnabledFor(logging.INFO)
    assert logging.getLogger("tallystick.sdk").isEnabledFor(logging.DEBUG)
