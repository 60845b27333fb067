"""What the UnionPay-style sandbox is told: how it listens, what it knows, how it writes."""

from typing import Literal

from msgspec import Struct

from tallystick.crypto.mac import MacAlgorithm
from tallystick.crypto.tr31_header import BlockVersion
from tallystick.iso8583.framing import LengthHeader
from tallystick.iso8583.mac_text import MacText
from tallystick.iso8583.network_header import HeaderForm
from tallystick.iso8583.spec import MessageFormat


class Card(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card of the issuer: with a `pin`, a request without a PIN block is refused as one with a wrong PIN."""

    pin: str | None = None
    expiry: str | None = None


class SandboxConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file of a sandbox. Keys are hexadecimal, port 0 takes any free one, `ca` signs peers.

    With `zone_key`, session keys are exchanged in key blocks of `key_block_version`, and `mac_key` and `pin_key` are
    left out; `rekey_every` pushes new ones after so many authorisations (0: never). `delay_s` is how late a late answer
    comes, `slow_s` how late a slow one. A sign-on is answered with `sign_on_code`. `reversal_silences` reversals of
    amounts that end in 9911 get no answer.
    """

    cert: str
    key: str
    ca: str
    cards: dict[str, Card]
    mac_key: str | None = None
    pin_key: str | None = None
    zone_key: str | None = None
    key_block_version: BlockVersion = BlockVersion.D
    swapped_key_types: bool = False
    rekey_every: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    format: MessageFormat = MessageFormat.ASCII
    header: LengthHeader = LengthHeader.ASCII_4
    network: HeaderForm = HeaderForm()
    mac: MacAlgorithm = MacAlgorithm.CMAC
    mac_text: MacText = MacText.MESSAGE
    pin_format: Literal[0, 4] = 0
    sign_on_code: str = "00"
    delay_s: float = 1.0
    slow_s: float = 0.3
    reversal_silences: int = 2
    record: str | None = None
