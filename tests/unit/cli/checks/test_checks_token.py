"""The token that key files are under."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType
from softhsm import LABEL, PIN, SoftToken

from tallystick.bootstrap.layout import Layout
from tallystick.bootstrap.wrapping import open_token
from tallystick.cli.checks.model import Machine, Scene
from tallystick.cli.checks.token import token_key
from tallystick.config import KeysSection
from tallystick.errors import Misconfigured
from tallystick.runtime import SystemClock
from tallystick.secret import Secret

Fault = Callable[..., str | None]


def test_without_a_token_there_is_nothing_to_look_at(fault: Fault) -> None:
    assert fault("token key") is None


@pytest.fixture
def at_token(tmp_path: Path, soft_token: SoftToken) -> Callable[[str], Scene]:
    """Return a platform that names a key of the token."""

    def of(label: str) -> Scene:
        (tmp_path / "tallystick.toml").write_text("")
        settings = {"PROVIDER": "pkcs11", "MODULE": soft_token.module, "TOKEN": LABEL, "KEY": label, "PIN": PIN}
        environ = {f"TALLYSTICK_KEYS__{name}": value for name, value in settings.items()}
        return Scene(Layout(tmp_path), replace(Machine.this(), environ=environ), SystemClock())

    return of


async def test_a_key_made_in_the_token_is_well_and_told_by_its_check_value(
    at_token: Callable[[str], Scene], soft_token: SoftToken
) -> None:
    made = open_token(KeysSection(module=soft_token.module, token=LABEL, pin=Secret(PIN))).make("doctor-1")
    assert f"the token's key doctor-1 has the check value {made.check}" == await token_key(at_token("doctor-1"))


async def test_a_key_that_came_from_outside_is_a_fault(at_token: Callable[[str], Scene], soft_token: SoftToken) -> None:
    open_token(KeysSection(module=soft_token.module, token=LABEL, pin=Secret(PIN))).make("doctor-2")
    with pkcs11.lib(soft_token.module).get_token(token_label=LABEL).open(rw=True) as session:
        protected = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
        uses = {Attribute.ENCRYPT: True, Attribute.DECRYPT: True, Attribute.SIGN: True}
        session.create_object(
            {
                Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.LABEL: "doctor-3",
                Attribute.VALUE: bytes(range(32)),
                Attribute.TOKEN: True,
                **protected,
                **uses,
            }
        )
    with pytest.raises(Misconfigured, match="doctor-3 came from outside"):
        await token_key(at_token("doctor-3"))


async def test_a_missing_key_is_a_fault(at_token: Callable[[str], Scene]) -> None:
    with pytest.raises(Misconfigured, match="no key doctor-none"):
        await token_key(at_token("doctor-none"))
