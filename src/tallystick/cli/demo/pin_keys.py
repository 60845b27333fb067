"""The demo's PIN keys: of our own app, and of a terminal that is somebody else's."""

from pathlib import Path
from typing import Final

from tallystick.bootstrap.office import Office
from tallystick.bootstrap.parts import pin_process
from tallystick.channels.model import PinScheme
from tallystick.cli import administer
from tallystick.cli.demo import back_ends
from tallystick.crypto import dukpt_tdes, pin, tr31
from tallystick.crypto.dukpt_aes import ID_BYTES
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.tr31_header import BlockVersion, KeyAlgorithm, KeyBlockHeader, KeyUsage, ModeOfUse
from tallystick.sdk.pins import write_key
from tallystick.sdk.settings import Profile
from tallystick.secret import Secret
from tallystick.security.pin_text import PinText

APP_KEY, TILL_KEY = "app-1", "till-7"
TILL_BASE: Final = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")  # of the published DUKPT examples (X9.24-1 A.4)
TILL_DEVICE: Final = bytes.fromhex("FFFF9876543210E00000")
TRANSPORT_BYTES: Final = 16


async def give_pin_keys(desk: Office, home: Path, profiles: dict[str, Profile]) -> None:
    """Make the app's key and import the terminal's, as an operator does with `tallystick pin`."""
    device, transport = desk.randomness.token(ID_BYTES), desk.randomness.token(TRANSPORT_BYTES)
    header = KeyBlockHeader(
        version=BlockVersion.B, usage=KeyUsage.BASE_DERIVATION, algorithm=KeyAlgorithm.TDES, mode=ModeOfUse.DERIVE
    )
    carried = tr31.wrap(transport, header, TILL_BASE, desk.randomness)
    async with pin_process(desk) as pins:
        own = await pins.make_key()
        write_key(home / "app", APP_KEY, device, await pins.device_key(own, device))
        foreign = await pins.import_key(PinScheme.DUKPT_TDES, Secret(transport.hex()), carried)
    for name, channel, scheme, block in (
        (APP_KEY, "app", PinScheme.DUKPT_AES, own),
        (TILL_KEY, "till", PinScheme.DUKPT_TDES, foreign),
    ):
        await administer.add_pin_key(desk, name, profiles[channel].credentials.sender, scheme, block)


def till_block(counter: int) -> Secret:
    """Build what the terminal sends in its transaction of this number."""
    ksn = (int.from_bytes(TILL_DEVICE) | counter).to_bytes(dukpt_tdes.KSN_BYTES)
    key = dukpt_tdes.pin_key(dukpt_tdes.initial_key(TILL_BASE, ksn), ksn)
    block = Secret(pin.encipher(Secret(back_ends.PIN), PinFormat.ISO_1, key).hex().upper())
    return PinText(form=PinFormat.ISO_1, key=TILL_KEY, ksn=ksn.hex().upper(), block=block).write()
