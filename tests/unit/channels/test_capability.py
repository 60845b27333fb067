"""One-time capabilities of pages."""

import pytest
from msgspec.structs import replace

from tallystick import limits
from tallystick.assembly.facts import ElementKind
from tallystick.assembly.model import Element, Payment
from tallystick.channels import capability as links
from tallystick.channels.model import Capability, CapabilityState, PageKind
from tallystick.errors import FieldInvalid, LinkRefused, TooMany
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.security.ports import Purpose
from tallystick.security.sealing import Sealing
from tallystick.testing.clock import SeededRandomness
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.platform import MemoryKeyring

AT_REST = Sealing(MemoryKeyring(), Purpose.AT_REST)
NONCE, OTHER_NONCE = "0" * 32, "1" * 32
PHONE = b"phone"


async def store_with_payment() -> MemoryStore:
    store = MemoryStore()
    element = Element(kind=ElementKind.CODE, digest=b"d")
    payment = Payment(
        id="pay_1",
        policy="account",
        element=element,
        claimed=True,
        opened_at=Millis(0),
        expires_at=Millis(9_000),
        updated_at=Millis(0),
    )
    await store.transact(lambda books: books.add_payment(payment))
    return store


async def issue(store: MemoryStore, *secrets: str, kind: PageKind = PageKind.PHONE, until: int = 5_000) -> None:
    given = [Secret(text) for text in secrets]
    await store.transact(
        lambda books: links.issue(
            books, AT_REST, given, payment_id="pay_1", kind=kind, now=Millis(1_000), until=Millis(until)
        )
    )


async def found(store: MemoryStore, secret: str) -> Capability:
    name = links.named_by_secret(Secret(secret)).name
    row = await store.read(lambda books: books.capability(name))
    assert row is not None
    return row


async def start(
    store: MemoryStore, secret: str, *, nonce: str = NONCE, device: bytes = PHONE, now: int = 2_000
) -> links.Started:
    row = await found(store, secret)
    return await store.transact(
        lambda books: links.start(
            books, AT_REST, row, nonce, device=device, network=b"net", now=Millis(now), until=Millis(9_000)
        )
    )


def test_a_link_has_128_random_bits_and_no_two_are_alike() -> None:
    randomness = SeededRandomness(1)
    made = {links.new_secret(randomness).reveal() for _ in range(100)}
    assert 100 == len(made)
    assert {22} == {len(each) for each in made}


def test_name_and_key_are_derived_so_that_a_browser_derives_the_same() -> None:
    name, key = links.named_by_secret(Secret("AAAAAAAAAAAAAAAAAAAAAA"))  # values of Node's own HKDF
    assert "cap_90f8cb4934e2e75bdfe80cb6ddafc93b" == name
    assert "ses_f75065338eab25fc5dafda32b0ee2c11" == links.session_of(key, NONCE).name
    assert links.session_of(key, NONCE) != links.session_of(key, OTHER_NONCE)


async def test_no_store_holds_the_secret_or_its_key() -> None:
    store = await store_with_payment()
    await issue(store, "a-secret-of-a-link-123")
    row = await found(store, "a-secret-of-a-link-123")
    key = links.named_by_secret(Secret("a-secret-of-a-link-123")).key
    assert key == links.capability_key(AT_REST, row)
    assert key not in row.sealed_key
    assert "a-secret-of-a-link-123" not in repr(row)


async def test_a_used_link_opens_nothing_for_who_photographed_it() -> None:
    store = await store_with_payment()
    await issue(store, "link")
    await start(store, "link")
    with pytest.raises(LinkRefused):
        await start(store, "link", nonce=OTHER_NONCE)
    with pytest.raises(LinkRefused):
        await start(store, "link", device=b"another browser")


async def test_a_reload_finds_its_session_again() -> None:
    store = await store_with_payment()
    await issue(store, "link")
    first, again = await start(store, "link"), await start(store, "link", now=8_000)
    assert (True, False) == (first.fresh, again.fresh)
    assert first.capability == again.capability


async def test_a_link_that_is_over_opens_nothing() -> None:
    store = await store_with_payment()
    await issue(store, "link")
    with pytest.raises(LinkRefused):
        await start(store, "link", now=5_000)


async def test_a_new_link_voids_the_old_ones_and_ends_their_session() -> None:
    store = await store_with_payment()
    await issue(store, "first")
    session = (await start(store, "first")).capability.session or ""
    await issue(store, "second")
    await issue(store, "third", "TYPED")
    with pytest.raises(LinkRefused):
        await start(store, "second", nonce=OTHER_NONCE)
    after = await store.read(lambda books: books.page_session(session))
    with pytest.raises(LinkRefused):
        links.check_session(after, PHONE, Millis(2_000))
    await start(store, "third", device=b"the second phone")
    with pytest.raises(LinkRefused):
        await start(store, "TYPED")


async def test_links_of_the_other_page_stay_as_they_are() -> None:
    store = await store_with_payment()
    await issue(store, "pc", kind=PageKind.PC)
    await issue(store, "phone")
    await start(store, "phone")
    assert CapabilityState.ISSUED is (await found(store, "pc")).state
    await start(store, "pc", device=b"pc")
    assert CapabilityState.STARTED is (await found(store, "phone")).state


async def test_a_session_is_of_one_device_and_one_time() -> None:
    store = await store_with_payment()
    await issue(store, "link")
    row = (await start(store, "link")).capability
    assert row == links.check_session(row, PHONE, Millis(8_999))
    for wrong in (None, replace(row, state=CapabilityState.ENDED), replace(row, device=b"x")):
        with pytest.raises(LinkRefused):
            links.check_session(wrong, PHONE, Millis(2_000))
    with pytest.raises(LinkRefused):
        links.check_session(row, PHONE, Millis(9_000))


async def test_a_payment_has_a_bounded_number_of_links() -> None:
    store = await store_with_payment()
    for n in range(limits.CAPABILITIES_MAX):
        await issue(store, f"link {n}")
    with pytest.raises(TooMany):
        await issue(store, "one more")
    assert CapabilityState.ISSUED is (await found(store, f"link {limits.CAPABILITIES_MAX - 1}")).state


async def test_a_nonce_of_another_form_is_refused() -> None:
    store = await store_with_payment()
    await issue(store, "link")
    with pytest.raises(FieldInvalid):
        await start(store, "link", nonce="short")
