"""Receipts signed by the platform's identity key."""

import msgspec

from tallystick.adapters.keys.files import FileKeyring
from tallystick.crypto.jose import sign_jws
from tallystick.wire.keys import IDENTITY_KID
from tallystick.wire.receipt import RECEIPT_TYPE, PartProof


class IdentityReceipts:
    """Sign receipts (`assembly.ports.ReceiptSigner`) with the identity key that is active now."""

    def __init__(self, keyring: FileKeyring) -> None:
        self._keyring = keyring

    def sign(self, proof: PartProof) -> str:
        """Return the receipt as a compact JWS."""
        return sign_jws(self._keyring.identity, msgspec.json.encode(proof), IDENTITY_KID, RECEIPT_TYPE)
