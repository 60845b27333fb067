"""From joined fields to routing facts and a credential (patent claims 4 to 8, 11)."""

from collections.abc import Mapping
from typing import assert_never

from tallystick import limits
from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.assembly.model import Payment
from tallystick.channels.merchants import is_test
from tallystick.errors import CredentialRefused
from tallystick.routing.model import BackEnd, NumberPolicy
from tallystick.runtime import Clock
from tallystick.secret import Pan, Secret
from tallystick.security.pin_text import read_pin_text
from tallystick.security.ports import Keyring
from tallystick.vault.keep import pick
from tallystick.vault.model import AccountCredential, CardCredential, Credential
from tallystick.vault.pins import obtain_pin
from tallystick.vault.ports import PinBinder, Stretcher, VaultStore


def routing_facts(kind: CredentialKind, fields: Mapping[str, Secret], payment: Payment, currency: str) -> RoutingFacts:
    """Take from joined fields what routing may know: leading card digits, schemes, an institution."""
    institution = payment.element.institution
    if kind is CredentialKind.LOGIN and institution is None and (chosen := fields.get("institution")) is not None:
        institution = chosen.reveal()
    if kind is CredentialKind.LOGIN and institution is None and len(payment.allowed) == 1:
        institution = payment.allowed[0]
    pan, account, brand = fields.get("pan"), fields.get("account"), fields.get("scheme")
    return RoutingFacts(
        kind=kind,
        currency=currency,
        institution=institution,
        issuer=pan.reveal()[: limits.ISSUER_DIGITS] if pan is not None else None,
        scheme=account.reveal().partition(":")[0] if account is not None else None,
        brand=brand.reveal() if brand is not None else None,
        sandbox=is_test(payment.owner),
        allowed=payment.allowed,
    )


async def obtain(
    kind: CredentialKind,
    fields: Mapping[str, Secret],
    *,
    back_end: BackEnd,
    claimed_by: str | None,
    payment_id: str,
    pins: PinBinder,
    store: VaultStore,
    keyring: Keyring,
    stretcher: Stretcher,
    clock: Clock,
) -> Credential:
    """Return the credential itself (embodiment 1), or the one stored for this institution (embodiment 2).

    With a login, the number of an institution that has dynamic ones is either the payment's element, issued to a user,
    or a field of the part: a stolen password alone pays nothing there.

    Raises CredentialRefused when a field is missing, or for any reason of `keep.pick` and `pins.obtain_pin`;
    Unavailable as they do.
    """
    try:
        match kind:
            case CredentialKind.CARD:
                pan, entered = Pan(fields["pan"].reveal()), fields.get("pin_block")
                text = None if entered is None else read_pin_text(entered)
                return CardCredential(
                    pan=pan,
                    expiry=fields.get("expiry"),
                    pin_block=entered if text is None else None,
                    pin=None if text is None else await obtain_pin(text, pan, payment_id, store, pins),
                    chip=fields.get("chip"),
                )
            case CredentialKind.ACCOUNT:
                return AccountCredential(account=fields["account"], secret=fields["secret"])
            case CredentialKind.LOGIN:
                username, password = fields["username"].reveal(), fields["password"]
            case _:
                assert_never(kind)
    except KeyError as error:
        raise CredentialRefused("incomplete") from error
    return await pick(
        store,
        keyring,
        stretcher,
        clock,
        username=username,
        password=password,
        institution=back_end.id,
        claimed_by=claimed_by,
        number=fields.get("number"),
        number_needed=claimed_by is None and back_end.numbers is not NumberPolicy.NONE,
    )
