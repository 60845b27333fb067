"""What protects the key files of a platform, as its settings say."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tallystick.adapters.keys.custodians import CustodianWrapper
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.passphrase import PassphraseWrapper
from tallystick.adapters.keys.token_wrapper import TokenWrapper
from tallystick.adapters.keys.wrapper import KeyWrapper, PlainFiles
from tallystick.bootstrap.layout import Layout
from tallystick.config import KeysSection
from tallystick.errors import Misconfigured
from tallystick.runtime import SystemRandomness
from tallystick.secret import Secret

if TYPE_CHECKING:
    from tallystick.adapters.keys.pkcs11 import Token

Begin = Callable[[], None]
"""Leave the audit entry; what it raises stops the work before it begins."""


def key_wrapper(root: Path, settings: KeysSection) -> KeyWrapper:
    """Return the wrapper of all key files; raises Misconfigured when it cannot be used."""
    match settings.provider:
        case "file":
            return PlainFiles()
        case "sealed-file":
            return PassphraseWrapper.open(root, _passphrase(settings))
        case "pkcs11":
            return TokenWrapper(open_token(settings), settings.key)
        case "shares":
            return CustodianWrapper.of(_shares(settings))


def check_protection(settings: KeysSection) -> None:
    """Raise Misconfigured when passphrase, token or shares of the settings are not there: before anything is made."""
    match settings.provider:
        case "sealed-file":
            _passphrase(settings)
        case "pkcs11":
            with contextlib.closing(open_token(settings)) as token:
                token.describe(settings.key)
        case "shares":
            CustodianWrapper.of(_shares(settings))
        case "file":
            pass


def first_wrapper(root: Path, settings: KeysSection) -> KeyWrapper:
    """Return the wrapper for a platform that has no key files yet; raises Misconfigured, FieldInvalid as `protect`."""
    if settings.provider != "sealed-file":
        return key_wrapper(root, settings)
    wrapper = PassphraseWrapper.prepare(root, _passphrase(settings), SystemRandomness())
    PassphraseWrapper.adopt(root)
    return wrapper


def open_token(settings: KeysSection) -> "Token":
    """Return the token that the settings name, whatever the provider is now; it connects when it is first used.

    Raises:
        Misconfigured: a setting or the PIN is not given, or the optional dependency is not installed.
    """
    if settings.module is None or settings.token is None:
        raise Misconfigured("which token? Set module and token in [keys]")
    if settings.pin is None:
        raise Misconfigured("the token wants a PIN: name its file in TALLYSTICK_KEYS__PIN_FILE")
    try:
        from tallystick.adapters.keys.pkcs11 import Token, TokenSettings  # noqa: PLC0415  # an optional dependency
    except ModuleNotFoundError:
        raise Misconfigured("tokens need the optional dependency: pip install 'tallystick[hsm]'") from None
    return Token(TokenSettings(module=settings.module, label=settings.token, pin=settings.pin))


def protect(root: Path, settings: KeysSection, passphrase: Secret, begin: Begin) -> int:
    """Seal every key file under a passphrase, or under another one; returns how many were changed.

    Raises:
        FieldInvalid: the passphrase is too short.
        Misconfigured: as `rewrap`.
    """

    def prepare() -> KeyWrapper:
        return PassphraseWrapper.prepare(root, passphrase, SystemRandomness())

    changed = rewrap(root, settings, prepare, begin)
    PassphraseWrapper.adopt(root)
    return changed


def protect_by_token(root: Path, settings: KeysSection, label: str, begin: Begin) -> int:
    """Put every key file under a key of the token; returns how many were changed; raises Misconfigured as `rewrap`."""
    with contextlib.closing(open_token(settings)) as token:
        token.describe(label)  # a key that is not there is told before a file is touched
        return rewrap(root, settings, lambda: TokenWrapper(token, label), begin)


def protect_by_shares(root: Path, settings: KeysSection, shares: Secret, begin: Begin) -> int:
    """Put every key file under custodians' key; returns how many were changed; raises Misconfigured as `rewrap`."""
    wrapper = CustodianWrapper.of(shares)
    return rewrap(root, settings, lambda: wrapper, begin)


def rewrap(root: Path, settings: KeysSection, prepare: Callable[[], KeyWrapper], begin: Begin) -> int:
    """Put every key file under the wrapper that `prepare` gives; returns how many were changed.

    `begin` is called once nothing but the disk can refuse any more, before the first file is touched.
    Safe to repeat, with the same wrapper, after a crash midway; until it ends no other command opens the keys.

    Raises:
        Misconfigured: the platform serves now, or the settings do not open what is there.
    """
    layout, old = Layout(root), key_wrapper(root, settings)
    with contextlib.ExitStack() as stack:
        directories = [
            stack.enter_context(KeyDirectory(path, write=True, wrapper=old))
            for path in (layout.keys, layout.epochs, layout.recovery, layout.opening)
        ]
        new = prepare()
        begin()
        return sum(directory.protect(new) for directory in directories)


def _passphrase(settings: KeysSection) -> Secret:
    if settings.passphrase is None:
        raise Misconfigured("the keys are sealed under a passphrase: name its file in TALLYSTICK_KEYS__PASSPHRASE_FILE")
    return settings.passphrase


def _shares(settings: KeysSection) -> Secret:
    if settings.shares is None:
        raise Misconfigured(
            "the keys are under custodians' key: give their shares, a line each, by TALLYSTICK_KEYS__SHARES_FILE "
            "(/dev/stdin for a pipe), or on a terminal"
        )
    return settings.shares
