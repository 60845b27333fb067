"""Only the certificate says who sends, and only an active registered channel is let in."""

import pytest

from tallystick.channels.admit import CHANNEL_URI, INSTITUTION_URI, admit, named
from tallystick.channels.model import Channel, ChannelState
from tallystick.crypto.x509 import PeerCertificate
from tallystick.errors import CertificateWrongPurpose, ChannelSuspended, ChannelUnknown
from tallystick.runtime import Millis
from tallystick.testing.platform import MemoryPlatform, memory_platform


def peer(uri: str | None) -> PeerCertificate:
    return PeerCertificate("01", "ab", uri, frozenset(), Millis(0), Millis(1))


@pytest.fixture
async def world() -> MemoryPlatform:
    made = await memory_platform()
    await made.channel("pc")
    await made.channel("old", state=ChannelState.SUSPENDED)
    return made


async def admitted(world: MemoryPlatform, uri: str | None) -> Channel:
    return await world.store.transact(lambda books: admit(peer(uri), books))


async def test_the_channel_that_the_certificate_names_is_admitted(world: MemoryPlatform) -> None:
    assert world.members["pc"].channel == await admitted(world, "tallystick:channel:pc")


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        (None, CertificateWrongPurpose),
        ("", CertificateWrongPurpose),
        ("tallystick:channel:", CertificateWrongPurpose),
        ("tallystick:institution:pc", CertificateWrongPurpose),
        ("TALLYSTICK:CHANNEL:pc", CertificateWrongPurpose),
        ("x-tallystick:channel:pc", CertificateWrongPurpose),
        ("tallystick:channel:nobody", ChannelUnknown),
        ("tallystick:channel:pc ", ChannelUnknown),
        ("tallystick:channel:tallystick:channel:pc", ChannelUnknown),
        ("tallystick:channel:old", ChannelSuspended),
    ],
)
async def test_every_other_certificate_is_refused(
    world: MemoryPlatform, uri: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await admitted(world, uri)


def test_a_channel_and_an_institution_of_one_id_are_not_each_other() -> None:
    assert "7" == named(peer("tallystick:institution:7"), INSTITUTION_URI)
    with pytest.raises(CertificateWrongPurpose):
        named(peer("tallystick:institution:7"), CHANNEL_URI)
