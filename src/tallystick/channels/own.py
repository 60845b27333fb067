"""The platform's own certificate: renewed in the last third of its life, by whichever authority gives it (claim 33)."""

from typing import Final

from tallystick.channels.ports import CertificateKeep, Certifier
from tallystick.crypto import x509
from tallystick.errors import Malformed, Misconfigured
from tallystick.runtime import Clock, Millis

LAST_PART: Final = 3  # a certificate is renewed in the last third of its life


def in_last_part(not_before: Millis, not_after: Millis, now: Millis) -> bool:
    """Tell whether a certificate is in the last third of its life, or over."""
    return (not_after - now) * LAST_PART <= not_after - not_before


def due(keep: CertificateKeep, names: tuple[str, ...], now: Millis) -> bool:
    """Tell whether the platform needs a certificate: it has none that works, it ends soon, or a host name is new."""
    held = keep.held()
    try:
        if held is None or not x509.belongs(*held):
            return True
        leaf = x509.read_certificate(held[0])
    except (Malformed, Misconfigured):
        return True
    return in_last_part(leaf.not_before, leaf.not_after, now) or not set(names) <= set(leaf.hosts)


async def renew(keep: CertificateKeep, certifier: Certifier, names: tuple[str, ...], clock: Clock) -> None:
    """Get a certificate for a fresh key and keep both.

    1. What the authority returned is for this key and every name, and is valid now: Misconfigured otherwise, and the
       certificate in use stays.
    2. The pair replaces the one before; a crash in between leaves a pair that does not match, which `due` tells.

    Raises Unavailable when the authority cannot be reached or is not done: try again later.
    """
    key = x509.new_private_key()
    chain = await certifier.certify(key, names, clock.now())
    # 1.
    leaf, now = x509.read_certificate(chain), clock.now()  # later: an order takes its time
    if not x509.belongs(chain, key) or not set(names) <= set(leaf.hosts) or not leaf.not_before <= now < leaf.not_after:
        raise Misconfigured("the authority's certificate is not for the platform's key and names, or not valid now")
    # 2.
    keep.replace(chain, key)
