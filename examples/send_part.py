"""Send the card's half of a payment: python examples/send_part.py profile.json +8613800138000."""

import asyncio
import sys
from getpass import getpass
from pathlib import Path

from tallystick.sdk.client import TallystickClient
from tallystick.sdk.settings import load_profile
from tallystick.secret import Secret
from tallystick.wire.part import PartContent, PhoneElement, WireOrder


async def main(profile: str, phone: str) -> None:
    """Ask for the card and send it under the payer's phone number; the PIN comes over another channel."""
    fields = {"pan": Secret(getpass("Card number: "))}
    order = WireOrder(payee="Tea House", amount=1250, currency="CNY", reference="order-7")
    content = PartContent(policy="card", element=PhoneElement(phone), fields=fields, order=order)
    async with TallystickClient.connect(load_profile(Path(profile))) as client:
        print("accepted:", (await client.send_part(content)).part)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
