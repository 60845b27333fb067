"""When the platform's own certificate is renewed, and what of an authority's answer is believed."""

import pytest

from tallystick.adapters.ca_files import FileCa
from tallystick.adapters.platform_certificate import CertificateFiles, EmbeddedCertifier
from tallystick.channels import own
from tallystick.crypto.ca import DAY_MS
from tallystick.crypto.x509 import new_private_key, read_certificate
from tallystick.errors import Misconfigured, Unavailable
from tallystick.runtime import Millis
from tallystick.testing.clock import VirtualClock

NOW = Millis(1_780_000_000_000)
URI = "tallystick:platform:main"
NAMES = ("pay.example", "127.0.0.1")
LIFE = 3 * DAY_MS


class Authority:
    """Certify another key, other names, or at another time than asked (`channels.ports.Certifier`)."""

    def __init__(self, inner: EmbeddedCertifier, *, key: bool = False, names: bool = False, early: int = 0) -> None:
        self.inner, self.key, self.names, self.early = inner, key, names, early

    async def certify(self, key_pem: bytes, names: tuple[str, ...], now: Millis) -> bytes:
        wrong_key = new_private_key() if self.key else key_pem
        return await self.inner.certify(wrong_key, names[:1] if self.names else names, Millis(now - self.early))


class Away:
    """Cannot be reached."""

    async def certify(self, key_pem: bytes, names: tuple[str, ...], now: Millis) -> bytes:
        raise Unavailable("the authority is away")


@pytest.fixture
def keep(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    place = tmp_path_factory.mktemp("tls")
    return CertificateFiles(place / "platform.pem", place / "platform.key")


@pytest.fixture
def embedded(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedCertifier:
    return EmbeddedCertifier(FileCa.create(tmp_path_factory.mktemp("ca"), name="test", now=NOW), URI, LIFE)


def after(millis: int) -> Millis:
    return Millis(NOW + millis)


async def test_a_certificate_is_due_when_there_is_none_and_in_the_last_third_of_its_life(
    keep: CertificateFiles, embedded: EmbeddedCertifier
) -> None:
    assert own.due(keep, NAMES, NOW)
    await own.renew(keep, embedded, NAMES, VirtualClock(NOW))
    assert not own.due(keep, NAMES, NOW)
    assert not own.due(keep, NAMES, after(2 * LIFE // 3 - 5 * 60_000))
    assert own.due(keep, NAMES, after(2 * LIFE // 3))
    assert own.due(keep, NAMES, after(LIFE + 1))


async def test_a_new_host_name_makes_a_certificate_due(keep: CertificateFiles, embedded: EmbeddedCertifier) -> None:
    await own.renew(keep, embedded, NAMES, VirtualClock(NOW))
    assert own.due(keep, (*NAMES, "new.example"), NOW)


async def test_a_crash_between_key_and_certificate_is_mended_by_the_next_renewal(
    keep: CertificateFiles, embedded: EmbeddedCertifier
) -> None:
    await own.renew(keep, embedded, NAMES, VirtualClock(NOW))
    keep.key.write_bytes(new_private_key())
    assert own.due(keep, NAMES, NOW)
    keep.chain.write_bytes(b"junk")
    assert own.due(keep, NAMES, NOW)
    await own.renew(keep, embedded, NAMES, VirtualClock(NOW))
    assert not own.due(keep, NAMES, NOW)


@pytest.mark.parametrize("wrong", [{"key": True}, {"names": True}, {"early": 2 * LIFE}, {"early": -DAY_MS}])
async def test_a_certificate_for_another_key_name_or_time_never_replaces_the_one_in_use(
    keep: CertificateFiles, embedded: EmbeddedCertifier, wrong: dict[str, int]
) -> None:
    await own.renew(keep, embedded, NAMES, VirtualClock(NOW))
    before = keep.held()
    with pytest.raises(Misconfigured):
        await own.renew(keep, Authority(embedded, **wrong), NAMES, VirtualClock(NOW))  # type: ignore[arg-type]
    assert before == keep.held()


async def test_an_authority_that_is_away_leaves_the_certificate_in_use(
    keep: CertificateFiles, embedded: EmbeddedCertifier
) -> None:
    await own.renew(keep, embedded, NAMES, VirtualClock(NOW))
    before = keep.held()
    with pytest.raises(Unavailable):
        await own.renew(keep, Away(), NAMES, VirtualClock(NOW))
    assert before == keep.held()


async def test_a_renewal_makes_a_new_key_and_keeps_the_identity(
    keep: CertificateFiles, embedded: EmbeddedCertifier
) -> None:
    await own.renew(keep, embedded, NAMES, VirtualClock(NOW))
    first = keep.held()
    await own.renew(keep, embedded, NAMES, VirtualClock(after(LIFE // 2)))
    second = keep.held()
    assert first is not None
    assert second is not None
    assert first[1] != second[1]
    assert URI == read_certificate(second[0]).uri
    assert 0o600 == keep.key.stat().st_mode & 0o777
