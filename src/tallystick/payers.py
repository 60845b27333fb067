"""What payers' pages ask of the platform, beside sending parts."""

from tallystick import limits
from tallystick.assembly.model import Payment
from tallystick.channels import capability as links
from tallystick.channels.model import PageKind
from tallystick.channels.ports import CapabilityBook
from tallystick.path import Platform
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.security.ports import Purpose


async def issue(platform: Platform, book: CapabilityBook, payment: Payment, kind: PageKind, now: Millis) -> Secret:
    """Issue the link to a payer's page; returns what stands behind `#` in its URL, and is in no other place.

    A PC link waits as long as the payment does; a phone link is read off a screen and waits `limits.LINK_LIFE_MS`.
    Earlier unused links to the same page are void. Raises TooMany as `capability.issue` does.
    """
    secret = links.new_secret(platform.randomness)
    until = payment.expires_at if kind is PageKind.PC else Millis(min(payment.expires_at, now + limits.LINK_LIFE_MS))
    at_rest = platform.keyring.key(Purpose.AT_REST)
    await links.issue(book, at_rest, (secret,), payment_id=payment.id, kind=kind, now=now, until=until)
    return secret


def session_until(payment: Payment) -> Millis:
    """Return when a page's session ends: it outlives the payment long enough to show how that ended."""
    return Millis(payment.expires_at + limits.SESSION_GRACE_MS)
