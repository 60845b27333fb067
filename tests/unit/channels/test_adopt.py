"""What of an outside authority's certificate is taken for a request that waits."""

from pathlib import Path
from typing import Any

import pytest

from tallystick.adapters.ca_files import FileCa
from tallystick.channels import enrol
from tallystick.channels.model import Anchor, Enrolment, EnrolmentState
from tallystick.crypto import ca
from tallystick.crypto.ca import Profile, check_request
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.errors import CertificateWrongPurpose, Conflict, FieldInvalid, Malformed, NotFound
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryStore

NOW = Millis(1_800_000_000_000)
BANK, OTHER = "tallystick:institution:40718253", "tallystick:institution:40718254"
HOSTS = ("bank.example",)
CSR = make_csr(new_private_key(), common_name="x")
CLIENT_ONLY = Profile("client", "institution", client=True, server=False, life=ca.DAY_MS, life_max=ca.DAY_MS)


class World:
    def __init__(self, place: Path) -> None:
        self.outside = FileCa.create(place / "bank", name="bank", now=NOW)
        self.stranger = FileCa.create(place / "stranger", name="stranger", now=NOW)
        self.store = MemoryStore()

    async def ready(self) -> None:
        asked = Enrolment(
            id="enr_1",
            uri=BANK,
            hosts=HOSTS,
            digest=b"",
            state=EnrolmentState.PENDING,
            created_at=NOW,
            expires_at=Millis(NOW + ca.DAY_MS),
            csr=CSR,
            key=check_request(CSR),
        )
        anchor = Anchor(id="anc_1", uri=BANK, bundle=self.outside.trust.read_bytes(), created_at=NOW)
        await self.store.transact(lambda books: books.add_enrolment(asked))
        await self.store.transact(lambda books: books.add_anchor(anchor))

    def chain(self, csr: bytes = CSR, **how: Any) -> bytes:
        wanted: dict[str, Any] = {"uri": BANK, "dns": HOSTS, "now": NOW, "profile": ca.BACK_END} | how
        issuer = wanted.pop("issuer", self.outside)
        chain: bytes = issuer.issue(csr, wanted.pop("profile"), **wanted)
        return chain

    async def adopt(self, chain: bytes, request: str = "enr_1") -> Enrolment:
        return await self.store.transact(lambda books: enrol.adopt(books, request, chain, NOW))


@pytest.fixture
async def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    await made.ready()
    return made


async def test_the_chain_for_the_request_is_taken_once_and_told_to_the_party(world: World) -> None:
    chain = world.chain()
    adopted = await world.adopt(chain)
    assert (EnrolmentState.ISSUED, chain) == (adopted.state, adopted.chain)
    with pytest.raises(Conflict):
        await world.adopt(chain)


async def test_a_certificate_for_another_key_is_not_taken(world: World) -> None:
    with pytest.raises(FieldInvalid):
        await world.adopt(world.chain(make_csr(new_private_key(), common_name="x")))


@pytest.mark.parametrize(
    "how",
    [
        {"uri": OTHER},
        {"dns": ("other.example",)},
        {"profile": CLIENT_ONLY, "dns": ()},
        {"now": Millis(NOW - 3 * ca.DAY_MS), "life": ca.DAY_MS},
        {"now": Millis(NOW + ca.DAY_MS)},
    ],
    ids=["another identity", "another host", "for clients only", "over", "not begun"],
)
async def test_a_certificate_is_not_taken_that_is(world: World, how: dict[str, Any]) -> None:
    with pytest.raises(CertificateWrongPurpose):
        await world.adopt(world.chain(**how))


async def test_an_authority_that_is_not_the_identitys_is_not_believed(world: World) -> None:
    with pytest.raises(CertificateWrongPurpose):
        await world.adopt(world.chain(issuer=world.stranger))


async def test_nothing_is_taken_for_no_request_or_from_junk(world: World) -> None:
    with pytest.raises(NotFound):
        await world.adopt(world.chain(), "enr_none")
    with pytest.raises(Malformed):
        await world.adopt(b"-----BEGIN junk")
