"""Keys in a PKCS#11 token, on SoftHSM2."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, MechanismFlag
from softhsm import LABEL, SoftToken

from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.pkcs11 import Token, TokenSettings
from tallystick.adapters.keys.token_wrapper import MAGIC, TokenWrapper
from tallystick.errors import AlreadyExists, Misconfigured
from tallystick.secret import Secret

LABELS = (f"kek-{number}" for number in itertools.count(1))
USES = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT | MechanismFlag.SIGN


@pytest.fixture
def token(soft_token: SoftToken) -> Iterator[Token]:
    token = Token(soft_token.settings())
    yield token
    token.close()


@pytest.fixture
def label(token: Token) -> str:
    made = next(LABELS)
    token.make(made)
    return made


def planted(soft_token: SoftToken, token: Token, label: str, *, bits: int = 256, **attributes: bool) -> None:
    """Put a key into the token that this package would not make; `token` holds the login."""
    with pkcs11.lib(soft_token.module).get_token(token_label=LABEL).open(rw=True) as session:
        template = {Attribute[name]: value for name, value in attributes.items()}
        session.generate_key(KeyType.AES, bits, label=label, store=True, capabilities=USES, template=template)


def seen_by_another(soft_token: SoftToken, label: str) -> Any:
    session = pkcs11.lib(soft_token.module).get_token(token_label=LABEL).open()
    return session.get_key(label=label)


# What a token keeps


def test_a_key_made_in_the_token_was_never_outside_and_is_told_by_its_check_value(token: Token, label: str) -> None:
    found = token.describe(label)
    assert (label, True) == (found.label, found.made_here)
    assert 10 == len(bytes.fromhex(found.check).hex())
    other = next(LABELS)
    assert found.check != token.make(other).check


def test_a_key_gives_its_value_to_nobody(soft_token: SoftToken, label: str) -> None:
    with pytest.raises(pkcs11.AttributeSensitive):
        seen_by_another(soft_token, label)[Attribute.VALUE]


@pytest.mark.parametrize("attribute", [Attribute.EXTRACTABLE, Attribute.SENSITIVE])
def test_a_key_cannot_be_made_exportable_later(soft_token: SoftToken, label: str, attribute: Attribute) -> None:
    with pytest.raises(pkcs11.PKCS11Error):
        seen_by_another(soft_token, label)[attribute] = attribute is Attribute.EXTRACTABLE


def test_a_key_is_not_wrapped_out_of_the_token_under_a_key_of_the_thief(
    soft_token: SoftToken, token: Token, label: str
) -> None:
    with pkcs11.lib(soft_token.module).get_token(token_label=LABEL).open(rw=True) as session:
        thief = session.generate_key(KeyType.AES, 256, capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP)
        key = session.get_key(label=label)
        with pytest.raises((pkcs11.KeyUnextractable, pkcs11.KeyNotWrappable)):
            thief.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP)


def test_a_key_that_is_there_is_never_made_again(token: Token, label: str) -> None:
    with pytest.raises(AlreadyExists):
        token.make(label)


def test_a_key_that_the_token_would_give_away_is_refused(soft_token: SoftToken, token: Token, label: str) -> None:
    for number, given in enumerate(({"EXTRACTABLE": True}, {"SENSITIVE": False, "EXTRACTABLE": True})):
        planted(soft_token, token, f"{label}-loose-{number}", **given)
        with pytest.raises(Misconfigured, match="give the key"):
            token.seal(f"{label}-loose-{number}", b"content", b"context")


def test_a_weaker_key_is_refused(soft_token: SoftToken, token: Token, label: str) -> None:
    planted(soft_token, token, f"{label}-short", bits=128, SENSITIVE=True, EXTRACTABLE=False)
    with pytest.raises(Misconfigured, match="no AES-256"):
        token.seal(f"{label}-short", b"content", b"context")


# Sealing


def test_what_the_token_seals_opens_in_its_context_only(token: Token, label: str) -> None:
    sealed = token.seal(label, b"content", b"context")
    assert b"content" == token.open(label, sealed, b"context")
    assert b"content" not in sealed
    assert sealed != token.seal(label, b"content", b"context")
    with pytest.raises(Misconfigured):
        token.open(label, sealed, b"another")


@pytest.mark.parametrize("at", [0, 12, 15, -1])
def test_altered_and_shortened_seals_do_not_open(token: Token, label: str, at: int) -> None:
    sealed = bytearray(token.seal(label, b"content", b"context"))
    sealed[at] ^= 1
    with pytest.raises(Misconfigured):
        token.open(label, bytes(sealed), b"context")
    with pytest.raises(Misconfigured, match="shorter"):
        token.open(label, bytes(sealed[:27]), b"context")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the binding ends a search that is gone
def test_lost_sessions_are_made_anew(soft_token: SoftToken, token: Token, label: str) -> None:
    sealed = token.seal(label, b"content", b"")
    soft_token.log_out()
    assert b"content" == token.open(label, sealed, b"")


def test_a_login_that_another_user_of_the_process_gave_up_is_made_anew(
    soft_token: SoftToken, token: Token, label: str
) -> None:
    sealed = token.seal(label, b"content", b"")
    other = Token(soft_token.settings())
    other.describe(label)
    token.close()  # it held the login, so the keys are invisible to the other's session
    assert b"content" == other.open(label, sealed, b"")
    other.close()


# What the operator gets wrong


def test_a_refused_pin_is_never_tried_again(soft_token: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    soft_token.log_out()
    token = Token(soft_token.settings(pin="0000"))
    opened = []
    found = token._token()

    class Counting:
        def open(self, **given: Any) -> Any:
            opened.append("user_pin" in given)
            return found.open(**given)

    monkeypatch.setattr(token, "_token", Counting)
    for _ in range(3):
        with pytest.raises(Misconfigured, match="refused the PIN") as refused:
            token.describe("kek")
        assert "0000" not in str(refused.value)
    assert [True] == opened


@pytest.mark.parametrize(
    ("change", "told"),
    [({"module": "/nowhere/lib.so"}, "library cannot be used: lib.so"), ({"label": "none"}, "knows no token none")],
)
def test_a_missing_library_or_token_is_named(soft_token: SoftToken, change: dict[str, str], told: str) -> None:
    settings = {"module": soft_token.module, "label": LABEL, **change}
    with pytest.raises(Misconfigured, match=told):
        Token(TokenSettings(**settings, pin=Secret("1"))).describe("kek")


def test_a_missing_key_names_the_command_that_makes_one(token: Token) -> None:
    with pytest.raises(Misconfigured, match="tallystick hsm create-key"):
        token.seal("absent", b"", b"")


# Key files under a token's key


def test_key_files_hold_nothing_in_clear_and_open_in_their_own_place_only(
    token: Token, label: str, tmp_path: Path
) -> None:
    wrapper = TokenWrapper(token, label)
    with KeyDirectory(tmp_path / "keys", write=True, wrapper=wrapper) as files:
        files.create("vault-1.key", b"thirty-two bytes of a vault key!")
        assert b"thirty-two bytes of a vault key!" == files.read("vault-1.key")
        stored = (tmp_path / "keys" / "vault-1.key").read_bytes()
        assert b"vault key" not in stored
        files.create("identity-1.key", b"another")
        (tmp_path / "keys" / "identity-1.key").write_bytes(stored)
        with pytest.raises(Misconfigured):
            files.read("identity-1.key")


def test_a_file_under_another_key_is_told_from_a_damaged_one(token: Token, label: str) -> None:
    wrapped = TokenWrapper(token, label).wrap(b"content", b"context")
    other = next(LABELS)
    token.make(other)
    with pytest.raises(Misconfigured, match=f"under another key of the token than {other}"):
        TokenWrapper(token, other).unwrap(wrapped, b"context")


def test_a_changed_label_opens_nothing(token: Token, label: str) -> None:
    wrapped = TokenWrapper(token, label).wrap(b"content", b"context")
    other = next(LABELS)
    token.make(other)
    head = MAGIC + bytes([len(other)]) + other.encode()
    with pytest.raises(Misconfigured, match="did not do"):
        TokenWrapper(token, other).unwrap(head + wrapped[len(MAGIC) + 1 + len(label) :], b"context")


@pytest.mark.parametrize(
    "wrapped", [b"", b'{"key": "plain"}', MAGIC, MAGIC + b"\x05kek", MAGIC + b"\x01\xff" + bytes(40)]
)
def test_a_plain_or_damaged_file_is_not_believed(token: Token, label: str, wrapped: bytes) -> None:
    with pytest.raises(Misconfigured):
        TokenWrapper(token, label).unwrap(wrapped, b"context")


def test_what_is_wrapped_is_never_wrapped_again(token: Token, label: str) -> None:
    wrapper = TokenWrapper(token, label)
    with pytest.raises(Misconfigured, match="already"):
        wrapper.wrap(wrapper.wrap(b"content", b"context"), b"context")


@pytest.mark.parametrize("label", ["", "k" * 65])
def test_a_label_has_bounds(token: Token, label: str) -> None:
    with pytest.raises(Misconfigured, match="label"):
        TokenWrapper(token, label)
