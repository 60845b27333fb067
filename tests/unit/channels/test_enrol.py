"""Enrolment: which token opens what, and whose identity a certificate gets."""

from collections.abc import Sequence

import pytest

from tallystick.channels import enrol
from tallystick.channels.enrol import REQUEST_LIFE_MS, WRONG_MAX, Invitation
from tallystick.channels.model import Enrolment, EnrolmentState
from tallystick.crypto.ca import DAY_MS, Profile
from tallystick.crypto.versioned import VersionedKey
from tallystick.crypto.x509 import make_csr, new_private_key
from tallystick.errors import Conflict, FieldInvalid, Malformed, NotFound, SignatureInvalid, TokenRefused
from tallystick.runtime import Millis, SystemClock, SystemRandomness
from tallystick.secret import Secret
from tallystick.testing.memory_store import MemoryStore

KEY = VersionedKey(1, b"k" * 32)
SHOP, OTHER = "tallystick:channel:ch_shop", "tallystick:channel:ch_other"
CSR = make_csr(new_private_key(), common_name="enrolment")


class Authority:
    """Issue texts and remember for whom."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], str]] = []

    def issue(self, csr_pem: bytes, profile: Profile, *, uri: str, dns: Sequence[str] = (), now: Millis) -> bytes:
        self.asked.append((uri, tuple(dns), profile.name))
        return b"chain"

    def valid(self, uri: str, now: Millis) -> int:
        return 0


async def invited(store: MemoryStore, uri: str = SHOP, hosts: tuple[str, ...] = ()) -> Invitation:
    made = enrol.invitation(KEY, SystemClock(), SystemRandomness(), uri=uri, hosts=hosts, ttl=DAY_MS)
    await store.transact(lambda books: books.add_enrolment(made.enrolment))
    return made


async def present(store: MemoryStore, token: Secret, now: Millis | None = None) -> Enrolment | None:
    at = SystemClock().now() if now is None else now
    return await store.transact(lambda books: enrol.present(books, (KEY,), token, at))


async def submit(store: MemoryStore, token: Secret, csr: bytes = CSR, issuer: Authority | None = None) -> Enrolment:
    found = await present(store, token)
    assert found is not None
    now = SystemClock().now()
    return await store.transact(lambda books: enrol.submit(books, found, csr, now, issuer=issuer))


async def test_a_token_has_128_random_bits_and_is_not_in_the_store() -> None:
    store = MemoryStore()
    made = await invited(store)
    secret = made.token.reveal().partition(".")[2]
    assert 22 == len(secret)
    assert secret not in repr(await store.read(lambda books: books.enrolments()))
    assert secret not in repr(made)


async def test_a_token_opens_its_own_invitation_and_no_other() -> None:
    store = MemoryStore()
    first, second = await invited(store), await invited(store, OTHER)
    assert first.enrolment == await present(store, first.token)
    mixed = f"{first.enrolment.id}.{second.token.reveal().partition('.')[2]}"
    assert await present(store, Secret(mixed)) is None


@pytest.mark.parametrize("text", ["", ".", "enr_1", "enr_1.x", "é.é", "a" * 129, f"{'a' * 100}.{'b' * 100}"])
async def test_what_is_no_token_opens_nothing(text: str) -> None:
    store = MemoryStore()
    await invited(store)
    assert await present(store, Secret(text)) is None


async def test_a_token_opens_nothing_once_its_time_is_over() -> None:
    store = MemoryStore()
    made = await invited(store)
    end = made.enrolment.expires_at
    assert await present(store, made.token, Millis(end - 1)) is not None
    assert await present(store, made.token, end) is None


async def test_after_ten_wrong_tokens_the_right_one_opens_nothing() -> None:
    store = MemoryStore()
    made = await invited(store)
    for _ in range(WRONG_MAX - 1):
        assert await present(store, Secret(f"{made.enrolment.id}.AAAAAAAAAAAAAAAAAAAAAA")) is None
    assert await present(store, made.token) is not None
    await present(store, Secret(f"{made.enrolment.id}.AAAAAAAAAAAAAAAAAAAAAA"))
    assert await present(store, made.token) is None


async def test_a_token_is_good_for_one_request_which_may_be_repeated() -> None:
    store = MemoryStore()
    made = await invited(store)
    asked = await submit(store, made.token)
    assert EnrolmentState.PENDING is asked.state
    assert asked == await submit(store, made.token)
    with pytest.raises(TokenRefused):
        await submit(store, made.token, make_csr(new_private_key(), common_name="enrolment"))


async def test_a_faulty_request_is_refused_and_leaves_the_token_unused() -> None:
    store = MemoryStore()
    made = await invited(store)
    lines = CSR.splitlines()
    changed = lines[-2][:8] + (b"A" if lines[-2][8:9] != b"A" else b"B") + lines[-2][9:]
    forged = b"\n".join([*lines[:-2], changed, lines[-1]])
    for csr, refusal in ((b"none", Malformed), (CSR + b" " * 20_000, Malformed), (forged, SignatureInvalid)):
        with pytest.raises(refusal):
            await submit(store, made.token, csr)
    assert EnrolmentState.PENDING is (await submit(store, made.token)).state


async def test_the_identity_is_the_invitations_whatever_the_request_says() -> None:
    store, authority = MemoryStore(), Authority()
    made = await invited(store)
    csr = make_csr(new_private_key(), uri=OTHER, common_name="other")
    await submit(store, made.token, csr)
    now = SystemClock().now()
    issued = await store.transact(lambda books: enrol.approve(books, made.enrolment.id, authority, now))
    assert [(SHOP, (), "channel")] == authority.asked
    assert b"chain" == issued.chain
    assert issued == await submit(store, made.token, csr)


async def test_where_the_token_is_enough_it_approves_once() -> None:
    store, authority = MemoryStore(), Authority()
    made = await invited(store, "tallystick:institution:12345678", ("bank.example",))
    for _ in range(2):
        assert EnrolmentState.ISSUED is (await submit(store, made.token, issuer=authority)).state
    assert [("tallystick:institution:12345678", ("bank.example",), "back_end")] == authority.asked


async def test_only_what_waits_is_approved_or_rejected() -> None:
    store, authority, now = MemoryStore(), Authority(), SystemClock().now()
    made = await invited(store)
    name = made.enrolment.id
    with pytest.raises(Conflict):
        await store.transact(lambda books: enrol.approve(books, name, authority, now))
    await submit(store, made.token)
    await store.transact(lambda books: enrol.reject(books, name, now))
    with pytest.raises(Conflict):
        await store.transact(lambda books: enrol.approve(books, name, authority, now))
    with pytest.raises(Conflict):
        await store.transact(lambda books: enrol.reject(books, name, now))
    with pytest.raises(NotFound):
        await store.transact(lambda books: enrol.reject(books, "enr_none", now))
    assert EnrolmentState.REJECTED is (await submit(store, made.token)).state
    assert [] == authority.asked


async def test_a_request_that_waited_too_long_is_not_approved() -> None:
    store, authority = MemoryStore(), Authority()
    made = await invited(store)
    await submit(store, made.token)
    late = Millis(SystemClock().now() + REQUEST_LIFE_MS + 1)
    with pytest.raises(NotFound):
        await store.transact(lambda books: enrol.approve(books, made.enrolment.id, authority, late))


@pytest.mark.parametrize(
    ("uri", "hosts", "ttl"),
    [
        ("channel:ch_shop", (), 1),
        (SHOP, ("shop.example",), 1),
        ("tallystick:institution:12345678", ("*.example",), 1),
        (SHOP, (), 0),
        (SHOP, (), 31 * DAY_MS),
    ],
)
def test_an_invitation_nobody_could_use_is_not_made(uri: str, hosts: tuple[str, ...], ttl: int) -> None:
    with pytest.raises(FieldInvalid):
        enrol.invitation(KEY, SystemClock(), SystemRandomness(), uri=uri, hosts=hosts, ttl=ttl)
