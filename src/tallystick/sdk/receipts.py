"""Verify a part's receipt: offline, by anybody who has the platform's published identity key."""

import msgspec

from tallystick.crypto.jose import verify_jws
from tallystick.crypto.signing import Ed25519Public
from tallystick.errors import SignatureInvalid
from tallystick.wire.keys import IDENTITY_KID
from tallystick.wire.receipt import RECEIPT_TYPE, PartProof


def verify_receipt(token: str, identity: Ed25519Public) -> PartProof:
    """Return what a receipt proves.

    1. It is a JWS of this type by the identity key: AlgorithmRefused, EnvelopeUnopenable, SignatureInvalid.
    2. It has exactly the members of a receipt: SignatureInvalid.
    Left to the caller: that `identity` is the platform's, got by another way than the receipt; and whether the payment
    was carried out, which no receipt says.
    """
    # 1.
    payload = verify_jws(identity, token.strip(), IDENTITY_KID, RECEIPT_TYPE)
    # 2.
    try:
        return msgspec.json.decode(payload, type=PartProof)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SignatureInvalid("the signed text is no receipt") from None
