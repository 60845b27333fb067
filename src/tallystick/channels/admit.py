"""Admit a peer: turn a verified client certificate into the registered channel it names (claims 12, 32, 33)."""

from typing import Final, Protocol

from tallystick.channels.model import Channel, ChannelState
from tallystick.channels.ports import ChannelBook
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import CertificateWrongPurpose, ChannelSuspended, ChannelUnknown
from tallystick.runtime import Millis

CHANNEL_URI: Final = "tallystick:channel:"
INSTITUTION_URI: Final = "tallystick:institution:"


class Standing(Protocol):
    """Which identity a client certificate proves, as long as it counts."""

    def check(self, peer: PeerCertificate, now: Millis) -> PeerCertificate:
        """Return the peer under the identity that its certificate proves.

        Raises CertificateWrongPurpose when no authority of that identity vouches for it, CertificateRevoked when it no
        longer counts or that cannot be told (fail closed).
        """
        ...


def named(peer: PeerCertificate, kind: str) -> str:
    """Return the id after `kind` in the certificate's SAN URI; raises CertificateWrongPurpose for any other kind."""
    if peer.uri is None or not peer.uri.startswith(kind) or len(peer.uri) == len(kind):
        raise CertificateWrongPurpose(f"the client certificate names no {kind.split(':')[1]}")
    return peer.uri.removeprefix(kind)


async def admit(peer: PeerCertificate, book: ChannelBook) -> Channel:
    """Return the active channel that the certificate names.

    The TLS handshake has proven possession and the chain; the listener's caller has checked revocation.
    1. The SAN URI names a channel: CertificateWrongPurpose.
    2. The channel is registered: ChannelUnknown.
    3. The channel is active: ChannelSuspended.
    What it may send is checked when its message is open.
    """
    # 1.
    channel_id = named(peer, CHANNEL_URI)
    # 2.
    channel = await book.channel(channel_id)
    if channel is None:
        raise ChannelUnknown("no channel is registered under this certificate")
    # 3.
    if channel.state is not ChannelState.ACTIVE:
        raise ChannelSuspended("this channel is suspended")
    return channel
