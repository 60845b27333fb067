"""Sign-up by pages: two halves, a code that proves the contact, and nobody registered before both are there."""

import dataclasses
import json
import re
from base64 import urlsafe_b64decode
from typing import Any

import msgspec
import pytest

from tallystick import limits, signups
from tallystick.audit.model import Entry
from tallystick.channels.capability import named_by_secret
from tallystick.channels.model import PageKind
from tallystick.crypto.signing import HmacKey
from tallystick.errors import CredentialRefused
from tallystick.runtime import Millis
from tallystick.sdk.requests import Credentials, seal_request, sign_get
from tallystick.secret import Secret
from tallystick.service.background import Carriers
from tallystick.service.events import Streams
from tallystick.service.pages.desk import PageDesk
from tallystick.service.pages.origins import Origins
from tallystick.testing.inbox import waiting_notices
from tallystick.testing.page_platform import MemoryBrowser
from tallystick.testing.platform import BROWSER_KEY, MemoryPlatform, bank, memory_platform
from tallystick.vault import keep, users
from tallystick.vault.notices import open_notice
from tallystick.wire import signup as wire

ORIGINS = Origins(pc="https://pay.example", phone="https://phone.example")
WALLET = bank("20000001", name="Bamboo", schemes=frozenset({"bamboo"}))
CARDS = bank("20000002", name="Cards", schemes=frozenset({"unionpay"}))
HALF = {"username": "lihua", "institution": WALLET.id, "email": "lihua@example.org", "account": "bamboo:lihua"}
SECOND = {"password": "correct horse battery", "secret": "river-stone"}


@dataclasses.dataclass
class Place:
    world: MemoryPlatform
    apps: dict[PageKind, Any]
    count: int = 0

    def _nonce(self) -> str:
        self.count += 1
        return f"{self.count:032x}"

    async def post(self, kind: PageKind, who: Credentials, target: str, content: msgspec.Struct) -> Any:
        key = self.world.opening_keys.keys[BROWSER_KEY]
        created, nonce = self.world.clock.now() // 1000, self._nonce()
        request = seal_request(who, key, target, content, created=created, nonce=nonce, idempotency_key=self._nonce())
        return await MemoryBrowser().ask(self.apps[kind], request)

    async def page(self) -> Credentials:
        """Begin as a PC page does."""
        offer = await signups.offer(self.world.platform, self.world.clock.now())
        return Credentials(offer.sender, HmacKey(urlsafe_b64decode(offer.key + "=")))

    async def first(self, who: Credentials | None = None, **changes: object) -> Any:
        half = {name: value for name, value in {**HALF, **changes}.items() if value is not None}
        secret = {name: Secret(str(half.pop(name))) for name in ("account", "pan", "expiry") if name in half}
        content = wire.FirstHalf(**half, **secret)  # type: ignore[arg-type]
        return await self.post(PageKind.PC, who or await self.page(), wire.FIRST, content)

    async def code(self) -> Credentials:
        """Take the newest code out of the outbox, as the payer reads it."""
        notices = await waiting_notices(self.world.store)
        text = open_notice(self.world.keyring, notices[-1]).text
        found = re.search(r"is ([0-9A-Z ]{17})\.", text)
        assert found is not None
        assert "http" not in text
        named = named_by_secret(Secret(found[1].replace(" ", "")))
        return Credentials(named.name, HmacKey(named.key))

    async def second(self, who: Credentials, **changes: object) -> Any:
        told = {**SECOND, **changes}
        secret = Secret(str(told["secret"])) if told["secret"] is not None else None
        content = wire.SecondHalf(password=Secret(str(told["password"])), secret=secret, app=bool(told.get("app")))
        return await self.post(PageKind.PHONE, who, wire.SECOND, content)

    async def stored(self, institution: str = WALLET.id, username: str = "lihua") -> object:
        platform = self.world.platform
        return await keep.pick(
            platform.store,
            platform.keyring,
            platform.stretcher,
            platform.clock,
            username=username,
            password=Secret(SECOND["password"]),
            institution=institution,
            claimed_by=None,
        )


@pytest.fixture
async def place() -> Place:
    world = await memory_platform()
    for back_end in (WALLET, CARDS):
        await world.back_end(back_end)
    streams, carriers = Streams(world.store, world.clock), Carriers(world.platform)
    apps = {
        kind: PageDesk(world.platform, kind, origins=ORIGINS, carriers=carriers, streams=streams).app()
        for kind in PageKind
    }
    return Place(world, apps)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status, json.loads(answer.body).get("code", "")


async def test_two_halves_and_the_code_make_a_payer_with_a_credential(place: Place) -> None:
    sent = await place.first()
    assert (202, "https://phone.example/join") == (sent.status, json.loads(sent.body)["where"])
    who = await place.code()
    request = sign_get(who, wire.WAITING, created=place.world.clock.now() // 1000, nonce="a" * 32)
    waiting = await MemoryBrowser().ask(place.apps[PageKind.PHONE], request)
    told = msgspec.json.decode(waiting.body, type=wire.JoinWaiting)
    assert ("lihua", "Bamboo", False) == (told.username, told.institution, told.card)
    done = await place.second(who)
    assert (201, {"username": "lihua", "app": None}) == (done.status, json.loads(done.body))
    assert "AccountCredential" == type(await place.stored()).__name__


async def test_a_card_is_stored_without_a_pin_and_an_app_is_given_where_asked(place: Place) -> None:
    await place.first(institution=CARDS.id, account=None, pan="6250947000000014", expiry="3012")
    done = await place.second(await place.code(), secret=None, app=True)
    assert json.loads(done.body)["app"].startswith("otpauth://totp/pay.example:lihua?")
    stored = await place.stored(CARDS.id)
    assert ("CardCredential", None) == (type(stored).__name__, getattr(stored, "pin_block", 0))


async def test_the_first_half_alone_registers_nobody_and_holds_no_secret(place: Place) -> None:
    await place.first()
    assert None is await place.world.store.read(
        lambda books: books.user_named(users.digest_name(place.world.keyring, "lihua"))
    )
    with pytest.raises(CredentialRefused):
        await place.stored()


async def test_a_code_serves_once_and_for_ten_minutes(place: Place) -> None:
    await place.first()
    who = await place.code()
    assert 201 == (await place.second(who)).status
    assert (401, "link_refused") == code_of(await place.second(who))
    await place.first(username="wang")
    late = await place.code()
    await place.world.clock.advance(limits.SECRET_LIFE_MS)
    assert (401, "link_refused") == code_of(await place.second(late))


async def test_a_guessed_code_and_a_made_up_page_are_refused_alike(place: Place) -> None:
    await place.first()
    guess = named_by_secret(Secret("AAAABBBBCCCCDD"))
    assert (401, "link_refused") == code_of(await place.second(Credentials(guess.name, HmacKey(guess.key))))
    for sender in ("sgn_1_99999999999_" + "a" * 32, "sgn_9_99999999999_" + "a" * 32, "sgn_1_1_" + "a" * 32, "ch_pc"):
        answer = await place.first(Credentials(sender, HmacKey(bytes(32))))
        assert code_of(answer) in {(401, "link_refused"), (401, "signature_invalid")}
    assert 1 == len(await waiting_notices(place.world.store))


async def test_a_page_does_not_tell_whether_a_name_is_taken_and_the_phone_does(place: Place) -> None:
    await place.first()
    await place.second(await place.code())
    assert 202 == (await place.first(email="other@example.org")).status
    who = await place.code()
    assert (409, "already_exists") == code_of(await place.second(who))


async def test_a_registered_payer_stores_a_credential_for_one_more_institution(place: Place) -> None:
    await place.first()
    await place.second(await place.code())
    await place.first(institution=CARDS.id, account=None, pan="6250947000000014")
    assert 201 == (await place.second(await place.code(), secret=None)).status
    kinds = [type(await place.stored(each.id)).__name__ for each in (WALLET, CARDS)]
    assert ["AccountCredential", "CardCredential"] == kinds


@pytest.mark.parametrize(
    ("contact", "password"),
    [("thief@example.org", SECOND["password"]), ("lihua@example.org", "not the password")],
    ids=["another contact", "another password"],
)
async def test_nobody_else_stores_a_credential_under_a_name_that_is_taken(
    place: Place, contact: str, password: str
) -> None:
    await place.first()
    await place.second(await place.code())
    await place.first(email=contact, institution=CARDS.id, account=None, pan="6250947000000014")
    answer = await place.second(await place.code(), secret=None, password=password)
    assert (409, "already_exists") == code_of(answer)
    with pytest.raises(CredentialRefused, match="no_credential"):
        await place.stored(CARDS.id)


async def test_one_contact_gets_ten_codes_an_hour(place: Place) -> None:
    answers = [(await place.first(username=f"name{n}")).status for n in range(11)]
    assert [202] * 10 + [429] == answers
    assert 202 == (await place.first(email="other@example.org")).status


async def test_a_number_gets_no_more_codes_by_another_mail_address_beside_it(place: Place) -> None:
    phone = "+8613800138000"
    answers = [(await place.first(phone=phone, email=f"pump{n}@example.org")).status for n in range(11)]
    assert [202] * 10 + [429] == answers
    assert 429 == (await place.first(phone=phone, email=None)).status


async def test_a_half_that_waits_keeps_its_name_from_nobody(place: Place) -> None:
    await place.first(email="squatter@example.org")
    squatter = await place.code()
    await place.first()
    assert 201 == (await place.second(await place.code())).status
    assert (409, "already_exists") == code_of(await place.second(squatter, password="the squatter's own"))
    assert await place.stored()


async def test_a_message_that_carries_a_code_holds_no_link_and_says_what_to_do_if_it_was_not_asked_for(
    place: Place,
) -> None:
    await place.first()
    notices = await waiting_notices(place.world.store)
    text = open_notice(place.world.keyring, notices[-1]).text
    assert not re.search(r"https?:|www\.|\bpay\.example|\bphone\.example", text)
    assert "Did you not ask for it? Then do nothing." in text


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"username": "two words"}, "username"),
        ({"email": "nobody"}, "email"),
        ({"email": None}, "contact"),
        ({"account": "lihua"}, "fields.account"),
        ({"account": None}, "account"),
        ({"pan": "6250947000000014"}, "account"),
        ({"institution": "99999999"}, "institution"),
        ({"institution": CARDS.id}, "pan"),
    ],
    ids=str,
)
async def test_what_is_wrong_in_the_first_half_is_named_and_sends_nothing(
    place: Place, changes: dict[str, Any], field: str
) -> None:
    answer = await place.first(**changes)
    assert field == json.loads(answer.body)["field"]
    assert [] == await waiting_notices(place.world.store)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"password": "short"}, "password"), ({"secret": None}, "secret")],
    ids=["short", "no secret"],
)
async def test_what_is_wrong_in_the_second_half_can_be_corrected(
    place: Place, changes: dict[str, Any], field: str
) -> None:
    await place.first()
    who = await place.code()
    assert field == json.loads((await place.second(who, **changes)).body)["field"]
    assert 201 == (await place.second(who)).status


async def test_a_waiting_half_is_sealed_and_opens_for_nobody_after_its_epoch(place: Place) -> None:
    await place.first()
    who = await place.code()
    row = await place.world.store.read(lambda books: books.sign_up(who.sender))
    assert row is not None
    assert not any(value in row.sealed for value in (b"lihua", b"bamboo", b"example.org"))
    place.world.epochs.destroy_before(Millis(place.world.clock.now() + limits.EPOCH_KEPT_MS + limits.EPOCH_MS))
    assert (401, "link_refused") == code_of(await place.second(who))


async def test_a_sign_up_stands_in_the_audit_chain_under_its_two_pages(place: Place) -> None:
    pc = await place.page()
    await place.first(pc)
    assert 201 == (await place.second(await place.code())).status
    links = await place.world.store.read(lambda books: books.audit_links(0, 100))
    entries = [msgspec.json.decode(link.body, type=Entry) for link in links]
    by_action = {entry.action: entry.actor for entry in entries}
    assert (f"page:pc:{pc.sender}", "page:phone:join") == (by_action["user.invited"], by_action["credential.stored"])
