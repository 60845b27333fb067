"""What carriers share: whom they trust, and where an unencrypted connection is allowed."""

import ipaddress
import ssl


def machine_trust() -> ssl.SSLContext:
    """Make a TLS context that trusts the machine's authorities: providers are public servers, not ours.

    Not `ssl.create_default_context`, which would honour SSLKEYLOGFILE and write session keys to a file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    return context


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's loopback."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
