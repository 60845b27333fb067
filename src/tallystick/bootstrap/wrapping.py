"""What protects the key files of a platform, as its settings say."""

import contextlib
from pathlib import Path

from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.passphrase import PassphraseWrapper
from tallystick.adapters.keys.wrapper import KeyWrapper, PlainFiles
from tallystick.bootstrap.layout import Layout
from tallystick.config import KeysSection
from tallystick.errors import Misconfigured
from tallystick.runtime import SystemRandomness
from tallystick.secret import Secret


def key_wrapper(root: Path, settings: KeysSection) -> KeyWrapper:
    """Return the wrapper of all key files; raises Misconfigured when it cannot be used."""
    if settings.provider == "file":
        return PlainFiles()
    if settings.passphrase is None:
        raise Misconfigured("the keys are sealed under a passphrase: name its file in TALLYSTICK_KEYS__PASSPHRASE_FILE")
    return PassphraseWrapper.open(root, settings.passphrase)


def protect(root: Path, settings: KeysSection, passphrase: Secret) -> int:
    """Seal every key file under a passphrase, or under another one; returns how many were changed.

    Safe to repeat, with the same passphrase, after a crash midway; until it ends no other command opens the keys.

    Raises:
        FieldInvalid: the passphrase is too short.
        Misconfigured: the platform serves now, or the settings do not open what is there.
    """
    layout, old = Layout(root), key_wrapper(root, settings)
    with contextlib.ExitStack() as stack:
        directories = [
            stack.enter_context(KeyDirectory(path, write=True, wrapper=old))
            for path in (layout.keys, layout.epochs, layout.recovery, layout.opening)
        ]
        new = PassphraseWrapper.prepare(root, passphrase, SystemRandomness())
        changed = sum(directory.protect(new) for directory in directories)
        PassphraseWrapper.adopt(root)
    return changed
