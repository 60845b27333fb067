"""The session keys of the UnionPay-style sandbox: made, handed out as key blocks, and taken a while longer."""

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Final, NamedTuple, NoReturn

from tallystick.crypto import mac, pin, tr31
from tallystick.crypto.mac import MacAlgorithm
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tr31_header import KeyAlgorithm, KeyBlockHeader, KeyUsage, ModeOfUse, OptionalBlock
from tallystick.errors import Malformed, Misconfigured, Refused, SignatureInvalid
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import specification
from tallystick.runtime import Clock, Randomness
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.unionpay_config import SandboxConfig

PIN_KEY: Final = "1"  # DE53, first digit, of a key reset
MAC_KEY: Final = "2"
OTHER: Final[Mapping[str, str]] = {PIN_KEY: MAC_KEY, MAC_KEY: PIN_KEY}
KEY_BYTES: Final = 16  # of a session key: double-length TDES, or AES-128
OVERLAP_MS: Final = 60_000  # ms a replaced key is still taken
OFFER_MS: Final = 5_000  # ms a pushed key may wait for its acknowledgement, until another one is pushed
MAC_USAGES: Final[Mapping[MacAlgorithm, KeyUsage]] = {
    MacAlgorithm.CMAC: KeyUsage.MAC_CMAC,
    MacAlgorithm.X9_19: KeyUsage.MAC_RETAIL,
    MacAlgorithm.POS_ECB: KeyUsage.MAC_CBC,
}


class _Key(NamedTuple):
    """A key, its codec when it is a MAC key, and until when it is taken (None: until it is replaced)."""

    key: bytes
    codec: Codec
    until: int | None = None


class _Offer(NamedTuple):
    """A key that was pushed and is not yet acknowledged."""

    stan: str
    key: bytes
    value: str
    at: int


class SandboxKeys:
    """The keys by type, newest first; `resets` counts those that were taken into use."""

    def __init__(self, config: SandboxConfig, clock: Clock, randomness: Randomness) -> None:
        self.resets = 0
        self._config = config
        self._clock = clock
        self._randomness = randomness
        self._form = PinFormat(config.pin_format)
        self._spec = specification(16 if self._form is PinFormat.ISO_4 else 8, config.format)
        self._reader = Codec(self._spec, _no_key, _no_key, config.mac_text)
        self._stans = itertools.count(900_001)
        self._offers: dict[str, _Offer] = {}
        self._keys: dict[str, list[_Key]] = {PIN_KEY: [], MAC_KEY: []}
        if config.zone_key is None:
            if config.mac_key is None or config.pin_key is None:
                raise Misconfigured("a sandbox without zone_key needs mac_key and pin_key")
            self.use(PIN_KEY, bytes.fromhex(config.pin_key))
            self.use(MAC_KEY, bytes.fromhex(config.mac_key))

    @property
    def exchanged(self) -> bool:
        """Say whether session keys are exchanged."""
        return self._config.zone_key is not None

    def make(self, kind: str) -> tuple[bytes, str, str]:
        """Make a session key, not yet in use: the key, its block under the zone key, its check value."""
        config = self._config
        if kind == MAC_KEY:
            usage, mode = MAC_USAGES[config.mac], ModeOfUse.GENERATE_AND_VERIFY
            aes = config.mac is MacAlgorithm.CMAC
        else:
            usage, mode = KeyUsage.PIN, ModeOfUse.ENCRYPT
            aes = self._form is PinFormat.ISO_4
        key = self._randomness.token(KEY_BYTES)
        algorithm = KeyAlgorithm.AES if aes else KeyAlgorithm.TDES
        value = tr31.check_value(algorithm, key)
        header = KeyBlockHeader(
            version=config.key_block_version,
            usage=usage,
            algorithm=algorithm,
            mode=mode,
            optional=(OptionalBlock("KC", f"{'01' if aes else '00'}{value}"),),
        )
        return key, tr31.wrap(bytes.fromhex(config.zone_key or ""), header, key, self._randomness), value

    def offer(self, kind: str) -> tuple[str, str] | None:
        """Make a key to push: trace number and block, or None while one of this type waits for its acknowledgement.

        It is taken from now on: over another connection the peer may be quicker with it than with its acknowledgement.
        """
        now, waiting = self._clock.now(), self._offers.get(kind)
        if waiting is not None and now - waiting.at < OFFER_MS:
            return None
        key, block, value = self.make(kind)
        stan = f"{next(self._stans):06d}"
        self._offers[kind] = _Offer(stan, key, value, now)
        self._keys[kind].append(self._key(key)._replace(until=now + OFFER_MS))
        return stan, block

    def acknowledge(self, stan: str, value: str | None) -> None:
        """Take a pushed key into use when the peer's check value is right; a wrong or missing one drops it."""
        for kind, offer in list(self._offers.items()):
            if offer.stan == stan:
                del self._offers[kind]
                if offer.value == value:
                    self.use(kind, offer.key)

    def use(self, kind: str, key: bytes) -> None:
        """Take a key into use; the one before is taken for OVERLAP_MS."""
        until = self._clock.now() + OVERLAP_MS
        kept = [old if old.until else old._replace(until=until) for old in self._taken(kind)]
        self._keys[kind] = [self._key(key), *kept]
        self.resets += 1

    def lose(self, kind: str) -> None:
        """Have another key than the peer from now on, as a switch that was restored from an old copy."""
        self._keys[kind] = [self._key(self._randomness.token(KEY_BYTES))]

    def codec(self) -> Codec | None:
        """Return the codec of the MAC key in use."""
        return next((held.codec for held in self._keys[MAC_KEY] if held.until is None), None)

    def check(self, message: bytes) -> tuple[dict[str, str], Codec]:
        """Authenticate a message; also returns the codec its answer is signed by. Without a MAC none is authentic."""
        for held in self._taken(MAC_KEY):
            try:
                return held.codec.check(message), held.codec
            except (SignatureInvalid, Malformed):
                continue
        raise SignatureInvalid("the message's MAC does not match")

    def decode(self, message: bytes) -> dict[str, str]:
        """Decode a message without believing it."""
        return self._reader.decode(message)

    def encode_bare(self, fields: Mapping[str, str]) -> bytes:
        """Encode a message without a MAC."""
        return self._reader.encode(fields)

    def verify_pin(self, block: bytes, pan: Pan, expected: Secret) -> None:
        """Verify a PIN block under a PIN key that is taken; raises as `pin.verify`."""
        failed: Refused = Malformed("there is no PIN key yet")
        for held in self._taken(PIN_KEY):
            try:
                pin.verify(block, pan, held.key, self._form, expected)
            except Refused as other:
                failed = other
            else:
                return
        raise failed

    def kind_of(self, control: str) -> str | None:
        """Read DE53 of a key reset."""
        digit = control[:1]
        if digit not in OTHER:
            return None
        return OTHER[digit] if self._config.swapped_key_types else digit

    def control(self, kind: str) -> str:
        """Write DE53 of a key reset."""
        digit = OTHER[kind] if self._config.swapped_key_types else kind
        return f"{digit}6".ljust(16, "0")

    def _taken(self, kind: str) -> list[_Key]:
        now = self._clock.now()
        return [held for held in self._keys[kind] if held.until is None or held.until > now]

    def _key(self, key: bytes) -> _Key:
        algorithm = self._config.mac
        make, check = partial(mac.tag, algorithm, key), partial(mac.verify, algorithm, key)
        return _Key(key, Codec(self._spec, make, check, self._config.mac_text))


def _no_key(*_: bytes) -> NoReturn:
    raise SignatureInvalid("there is no MAC key yet")
