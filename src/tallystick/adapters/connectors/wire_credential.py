"""A credential as back ends get it inside a JWE."""

from tallystick.assembly.facts import CredentialKind
from tallystick.errors import Unfit
from tallystick.vault.model import AccountCredential, CardCredential, Credential
from tallystick.wire.rest import WireAccount, WireCard, WireCredential


def kind_of(credential: Credential) -> CredentialKind:
    """Say what a back end must take to get this credential."""
    return CredentialKind.CARD if isinstance(credential, CardCredential) else CredentialKind.ACCOUNT


def wire_credential(credential: Credential) -> WireCredential:
    """Give a credential the shape it has on the wire; chip data stays here. Raises Unfit for an enciphered PIN."""
    match credential:
        case AccountCredential():
            return WireAccount(account=credential.account, secret=credential.secret)
        case CardCredential():
            if credential.pin is not None:
                raise Unfit("this back end takes no PIN that is enciphered under its sender's key")
            return WireCard(pan=credential.pan, expiry=credential.expiry, pin_block=credential.pin_block)
