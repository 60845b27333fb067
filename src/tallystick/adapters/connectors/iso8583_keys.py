"""The session keys of one back end: given in the settings, or exchanged as key blocks under the zone key.

A key block (ANSI X9.143, TR-31) says what its key is for and proves it under the zone key; a PIN key never becomes a
MAC key or the other way round. All connections to the back end share these keys.
"""

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, NoReturn

from tallystick.adapters.connectors.iso8583_settings import (
    TIMEOUT_MAX_S,
    Iso8583Settings,
    Keys,
    check_session_keys,
    key_bytes,
)
from tallystick.crypto import kdf, mac, tr31
from tallystick.crypto.mac import MacAlgorithm
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tr31 import WrappedKey
from tallystick.crypto.tr31_header import KeyAlgorithm, KeyUsage, ModeOfUse, read_header
from tallystick.delivery.model import ZoneKey
from tallystick.errors import Malformed, NotSent, SignatureInvalid
from tallystick.iso8583.message import Codec
from tallystick.iso8583.spec import specification
from tallystick.runtime import Clock, Millis

OVERLAP_MS: Final = round(TIMEOUT_MAX_S * 1000)  # ms a replaced MAC key is taken: as long as any answer may come
PREVIOUS_MAX: Final = 4  # replaced MAC keys that are taken at the same time
LIFE_MS: Final = 24 * 3_600_000  # ms until exchanged keys are replaced: at least daily
TROUBLE_MAX: Final = 3  # messages in a row that speak of wrong keys, until the keys are taken for broken
CHECK_VALUE_BLOCK: Final = "KC"  # id of the optional block with the check value (ANSI X9.143)
CHECK_METHOD_DIGITS: Final = 2  # in front of the check value in that block

_log = logging.getLogger(__name__)


class KeyType(StrEnum):
    """Which session key a key reset is about; its value is the first digit of DE53 as most networks write it."""

    PIN = "1"
    MAC = "2"


MAC_USAGES: Final[Mapping[MacAlgorithm, frozenset[KeyUsage]]] = {
    MacAlgorithm.CMAC: frozenset({KeyUsage.MAC_CMAC}),
    MacAlgorithm.X9_19: frozenset({KeyUsage.MAC_RETAIL, KeyUsage.MAC_CBC}),
    MacAlgorithm.POS_ECB: frozenset({KeyUsage.MAC_CBC}),
}
PIN_USAGES: Final = frozenset({KeyUsage.PIN})
MODES: Final[Mapping[KeyType, frozenset[ModeOfUse]]] = {
    KeyType.MAC: frozenset({ModeOfUse.GENERATE_AND_VERIFY, ModeOfUse.ANY}),
    KeyType.PIN: frozenset({ModeOfUse.ENCRYPT_AND_DECRYPT, ModeOfUse.ENCRYPT, ModeOfUse.ANY}),
}


@dataclass(frozen=True, slots=True)
class _MacKey:
    key: bytes
    codec: Codec


class SessionKeys:
    """The keys in use; `usable` says whether there are both, fit for a request."""

    def __init__(self, settings: Iso8583Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._form = PinFormat(settings.pin_format)
        self._spec = specification(16 if self._form is PinFormat.ISO_4 else 8, settings.format)
        self._reader = Codec(self._spec, _no_key, _no_key_to_check, settings.mac_text)
        self._mac: _MacKey | None = None
        self._previous: list[tuple[_MacKey, Millis]] = []
        self._pin: ZoneKey | None = None
        self._pin_mark = b""  # stands for the PIN key in a comparison, so that the key itself need not stay
        self._since = clock.now()
        self._troubles = 0
        if settings.mac_key is not None and settings.pin_key is not None:
            self._mac = self._mac_key(key_bytes(settings.mac_key))
            self._pin = ZoneKey(form=self._form, key=settings.pin_key.reveal())

    @property
    def exchanged(self) -> bool:
        """Say whether keys come by exchange."""
        return self._settings.keys is Keys.EXCHANGE

    @property
    def usable(self) -> bool:
        """Say whether both keys are there, and, when they were exchanged, neither worn nor broken."""
        if self._mac is None or self._pin is None:
            return False
        worn = self._clock.now() - self._since >= LIFE_MS
        return not self.exchanged or not (worn or self._troubles >= TROUBLE_MAX)

    def encode_bare(self, fields: Mapping[str, str]) -> bytes:
        """Encode a message without a MAC."""
        return self._reader.encode(fields)

    def sign(self, fields: Mapping[str, str]) -> bytes:
        """Encode a message with its MAC; raises NotSent while there is no MAC key, and as `Codec.sign`."""
        if self._mac is None:
            raise NotSent("there is no MAC key for this back end yet")
        return self._mac.codec.sign(fields)

    def check(self, message: bytes) -> tuple[dict[str, str], Codec]:
        """Authenticate a message under the MAC key or one replaced lately; raises as `Codec.check`.

        Also returns the codec by which an answer to it is signed.
        """
        now = self._clock.now()
        candidates = [] if self._mac is None else [self._mac.codec]
        for codec in (*candidates, *(old.codec for old, until in self._previous if now < until)):
            try:
                return codec.check(message), codec
            except SignatureInvalid:
                continue
        raise SignatureInvalid("the message's MAC does not match")

    def decode(self, message: bytes) -> dict[str, str]:
        """Decode a message without believing it; raises Malformed."""
        return self._reader.decode(message)

    def pin_zone(self) -> ZoneKey:
        """Say under which key, in which format PIN blocks go; raises NotSent while there is no PIN key."""
        if self._pin is None:
            raise NotSent("there is no PIN key for this back end yet")
        return self._pin

    def control(self, kind: KeyType) -> str:
        """Write DE53 of a key reset: the key's type and a double length."""
        return f"{self._digit(kind)}6".ljust(16, "0")

    def kind_of(self, control: str) -> KeyType:
        """Read DE53 of a key reset; raises Malformed for neither a PIN key nor a MAC key."""
        for kind in KeyType:
            if control[:1] == self._digit(kind):
                return kind
        raise Malformed("the key reset is for no key of this link")

    def install(self, kind: KeyType, block: str) -> str:
        """Take a session key into use and return its check value.

        1. Keys are exchanged on this link, else Malformed.
        2. The block opens under the zone key, for this use and no other (`tr31.unwrap`).
        3. Its mode lets us do our part, and its algorithm is the link's.
        4. The check value in it, when there is one, is that of the key.
        5. The key has the right length, and is neither the zone key nor the other session key.

        Raises the errors of `tr31.unwrap`, Malformed and Misconfigured; the keys in use stay.
        """
        # 1.
        if self._settings.zone_key is None:
            raise Malformed("this link exchanges no keys")
        zone_key = key_bytes(self._settings.zone_key)
        # 2.
        allowed = PIN_USAGES if kind is KeyType.PIN else MAC_USAGES[self._settings.mac]
        claimed = read_header(block)[0].usage
        opened = tr31.unwrap(zone_key, block, usage=claimed if claimed in allowed else next(iter(allowed)))
        # 3.
        if opened.header.mode not in MODES[kind] or opened.header.algorithm is not self._algorithm(kind):
            raise Malformed("the key block's mode of use or algorithm is not the one of this link")
        key = key_bytes(opened.key)
        # 4.
        value = tr31.check_value(opened.header.algorithm, key)
        _compare_check_value(opened, value)
        # 5.
        if hmac.compare_digest(key, zone_key):
            raise Malformed("the session key is the zone key")
        if kind is KeyType.PIN:
            self._replace_pin(key, block)
        else:
            self._replace_mac(key)
        return value

    def trouble(self) -> None:
        """Count a message that speaks of wrong keys."""
        self._troubles += 1
        if self._troubles == TROUBLE_MAX:
            _log.error("%d messages in a row speak of wrong keys", TROUBLE_MAX)

    def fine(self) -> None:
        """Note a message that speaks of right keys."""
        self._troubles = 0

    def _replace_pin(self, key: bytes, block: str) -> None:
        """Keep the key as the block it came in: the PIN process opens it for each translation."""
        check_session_keys(self._settings.mac, self._mac.key if self._mac else b"", self._form, key)
        zone_key = self._settings.zone_key
        self._pin = ZoneKey(form=self._form, key=zone_key.reveal() if zone_key is not None else None, block=block)
        self._pin_mark = self._mark(key)
        self.fine()
        self._since = self._clock.now()

    def _replace_mac(self, key: bytes) -> None:
        mac.check_key(self._settings.mac, key)
        if hmac.compare_digest(self._pin_mark, self._mark(key)):
            raise Malformed("the MAC key is the PIN key: the purposes of keys never mix")
        if self._mac is not None:
            replaced = self._mac, Millis(self._clock.now() + OVERLAP_MS)
            self._previous = [replaced, *self._previous][:PREVIOUS_MAX]
        self._mac = self._mac_key(key)

    def _mark(self, key: bytes) -> bytes:
        zone_key = self._settings.zone_key
        return b"" if zone_key is None else kdf.digest(key_bytes(zone_key), "session key", key.hex())

    def _mac_key(self, key: bytes) -> _MacKey:
        make, check = partial(mac.tag, self._settings.mac, key), partial(mac.verify, self._settings.mac, key)
        return _MacKey(key, Codec(self._spec, make, check, self._settings.mac_text))

    def _algorithm(self, kind: KeyType) -> KeyAlgorithm:
        if kind is KeyType.PIN:
            return KeyAlgorithm.AES if self._form is PinFormat.ISO_4 else KeyAlgorithm.TDES
        return KeyAlgorithm.AES if self._settings.mac is MacAlgorithm.CMAC else KeyAlgorithm.TDES

    def _digit(self, kind: KeyType) -> str:
        if not self._settings.swapped_key_types:
            return kind.value
        return (KeyType.MAC if kind is KeyType.PIN else KeyType.PIN).value


def _compare_check_value(opened: WrappedKey, value: str) -> None:
    """Compare the check value a sender put beside its key; Malformed when it is another key's."""
    for optional in opened.header.optional:
        if optional.id == CHECK_VALUE_BLOCK:
            given = optional.data[CHECK_METHOD_DIGITS:][: len(value)]
            if not hmac.compare_digest(value.encode(), given.encode()):
                raise Malformed("the key's check value is another key's")


def _no_key(_text: bytes) -> NoReturn:
    raise NotSent("there is no MAC key for this back end yet")


def _no_key_to_check(_text: bytes, _given: bytes) -> NoReturn:
    raise SignatureInvalid("there is no MAC key for this back end yet")
