"""Keys: there, strong, of one purpose each, and destroyed on time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from tallystick import limits
from tallystick.adapters.keys.directory import KeyDirectory
from tallystick.adapters.keys.epochs import EPOCH_ID, RECOVERY_OVER_MS
from tallystick.adapters.keys.files import FileKeyring
from tallystick.bootstrap.wrapping import key_wrapper
from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.cli.checks.published import is_published
from tallystick.crypto.ca import check_strength
from tallystick.crypto.x509 import load_signing_key
from tallystick.errors import FieldInvalid, Misconfigured
from tallystick.runtime import Millis
from tallystick.security import lifetimes
from tallystick.security.ports import KeyState, Purpose

SLACK_MS: Final = 2 * 60_000  # ms after its end in which the sweep destroys a key
OPENING_KEPT_MS: Final = limits.OPENING_KEY_LIFE_MS + limits.OPENING_KEY_OVERLAP_MS + SLACK_MS  # ms


class _Made(msgspec.Struct, frozen=True):
    """What is read of an opening key's file: when it was made."""

    made_at: int


async def long_lived(scene: Scene) -> str:
    """All long-lived keys load, each under its own purpose."""
    _keyring(scene)
    return "all long-lived keys load"


async def strength(scene: Scene) -> str:
    """Long-lived keys are random and differ; private keys of certificates are strong enough (NIST SP 800-131A)."""
    keyring = _keyring(scene)
    keys = {purpose: keyring.key(purpose) for purpose in Purpose}
    faults = [f"the key {purpose} is a published or regular one" for purpose, key in keys.items() if is_published(key)]
    if len(set(keys.values())) < len(keys):
        faults.append("one key serves two purposes")
    private = list(_private_keys(scene))
    for path in private:
        try:
            check_strength(load_signing_key(path.read_bytes()).public_key())
        except FieldInvalid:
            faults.append(f"{path.name} is too weak: EC P-256, Ed25519 or RSA of 2048 bits and more")
    refuse(faults)
    return f"{len(keys)} long-lived keys differ and look random; {len(private)} private keys are strong"


async def cryptoperiods(scene: Scene) -> str:
    """No long-lived key is active beyond its cryptoperiod (PCI DSS 3.7.4, NIST SP 800-57 part 1)."""
    now, left = scene.now(), {}
    for entry in _keyring(scene).entries:
        if entry.state is KeyState.ACTIVE and entry.activated_at is not None:
            left[entry.name] = lifetimes.days_left(entry.purpose, entry.activated_at, now)
    refuse([f"the key {name} is {-days} days over its time" for name, days in left.items() if days < 0])
    refuse([f"the key {name} has {days} days left" for name, days in left.items() if days < lifetimes.WARN_DAYS])
    return f"the first to be rotated is {min(left, key=lambda name: left[name])}, in {min(left.values())} days"


async def protection(scene: Scene) -> str:
    """Key files are sealed: whoever copies them has nothing yet."""
    provider = scene.settings().keys.provider
    if provider == "file":
        raise Misconfigured("key files are protected by their mode alone: a copy of keys/ opens a copy of the store")
    return f"key files are sealed: {provider}"


async def root_key(scene: Scene) -> str:
    """The key of the root is offline."""
    if (scene.layout.ca / "root.key").exists():
        raise Misconfigured("ca/root.key is on this machine: whoever takes it makes any certificate, for ten years")
    return "the root key is not on this machine"


async def epoch_keys(scene: Scene) -> str:
    """No at-rest key outlived its epoch: what it sealed could still be opened."""
    now = scene.now()
    late = [
        f"{len(over)} keys in {directory.name}/ are older than their life"
        for directory, life in ((scene.layout.epochs, limits.EPOCH_KEPT_MS), (scene.layout.recovery, RECOVERY_OVER_MS))
        if (over := _epochs_over(directory, life, now))
    ]
    refuse(late)
    return "no at-rest key of parts is older than its life"


async def opening_keys(scene: Scene) -> str:
    """Part-opening keys are renewed, and none outlived its overlap (forward secrecy)."""
    now = scene.now()
    wrapper = key_wrapper(scene.layout.root, scene.settings().keys)
    with KeyDirectory(scene.layout.opening, write=False, wrapper=wrapper) as files:
        ages = [now - _made_at(files, name) for name in files.names()]
    if not ages:
        return "none yet: tallystick serve makes them"
    over = sum(age > OPENING_KEPT_MS for age in ages)
    refuse([f"{over} of {len(ages)} part-opening keys are older than their life: nothing rotates them"] if over else [])
    return f"{len(ages)} part-opening keys, the newest {min(ages) // 60_000} minutes old"


CHECKS: Final = (
    Check(
        "keys",
        Weight.STOPS,
        "Restore keys/ from its backup: without it nothing that is stored can be opened.",
        long_lived,
    ),
    Check(
        "key strength",
        Weight.UNSAFE,
        "Make the platform anew with tallystick init, or the certificate named with a stronger key.",
        strength,
    ),
    Check(
        "cryptoperiods",
        Weight.UNSAFE,
        "Rotate the key named: tallystick keys rotate; clients get the next identity key before.",
        cryptoperiods,
    ),
    Check(
        "key protection",
        Weight.ADVICE,
        "Seal them: tallystick keys protect, or a hardware module.",
        protection,
    ),
    Check(
        "root key",
        Weight.ADVICE,
        "Move ca/root.key to offline storage under dual control; only a new issuing authority needs it.",
        root_key,
    ),
    Check(
        "at-rest keys of parts",
        Weight.UNSAFE,
        "Start tallystick serve, which destroys them; when it runs already, look into its log.",
        epoch_keys,
    ),
    Check(
        "part-opening keys",
        Weight.UNSAFE,
        "Start tallystick serve, which replaces them; when it runs already, look into its log.",
        opening_keys,
    ),
)


def _keyring(scene: Scene) -> FileKeyring:
    return FileKeyring.load(scene.layout.keys, key_wrapper(scene.layout.root, scene.settings().keys))


def _made_at(files: KeyDirectory, name: str) -> int:
    try:
        return msgspec.json.decode(files.read(name), type=_Made).made_at
    except msgspec.DecodeError:
        raise Misconfigured(f"the opening key is damaged: {name}") from None


def _private_keys(scene: Scene) -> Iterator[Path]:
    yield scene.layout.private_key
    yield from sorted(scene.layout.ca.glob("*.key"))


def _epochs_over(directory: Path, life_ms: int, now: Millis) -> list[str]:
    with KeyDirectory(directory, write=False) as files:
        begun = {name: EPOCH_ID.fullmatch(name) for name in files.names()}
    return [name for name, found in begun.items() if found and int(found[1]) + life_ms + SLACK_MS < now]
