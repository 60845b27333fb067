"""PIN blocks on the path: who may send which, what they are bound to, and what reaches the back end."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick import limits
from tallystick.assembly.facts import PaymentState
from tallystick.channels.model import PinKey, PinScheme
from tallystick.crypto import dukpt_tdes, pin, tr31
from tallystick.crypto.pin import PinFormat, pin_block_1
from tallystick.crypto.tr31_header import BlockVersion, KeyAlgorithm, KeyBlockHeader, KeyUsage, ModeOfUse
from tallystick.delivery.model import ZoneKey
from tallystick.errors import FieldInvalid, FieldNotAllowed, Forbidden, IdempotencyMismatch, Refused, Replayed
from tallystick.orders import give_pin_token
from tallystick.path import carry
from tallystick.sdk.pins import DevicePinKey, write_key
from tallystick.secret import Pan, Secret
from tallystick.security.pin_text import PinText, read_pin_text
from tallystick.sweep import purge
from tallystick.testing.clock import SeededRandomness
from tallystick.testing.connector import ScriptedConnector
from tallystick.testing.messages import arrival_of, send_part
from tallystick.testing.platform import MemoryPlatform, bank, memory_platform
from tallystick.vault.model import CardCredential
from tallystick.wire.payment import PinTokenGiven

ORDER = {"payee": "Tea House", "amount": 1250, "currency": "CNY", "reference": "order 7"}
PAN = "6212142600000000043"
PIN = Secret("135790")
ZONE = ZoneKey(form=0, key="0123456789ABCDEFFEDCBA9876543210")
TDES = bytes.fromhex("FEDCBA98765432100123456789ABCDEF")
DEVICE = bytes.fromhex("1234567890123456")
PHONES = iter(f"+86138001{number}" for number in range(10_000, 20_000))


class App:
    """One of our own clients, and the terminal of somebody else, on a platform in memory."""

    def __init__(self, world: MemoryPlatform, bank_side: ScriptedConnector, key: DevicePinKey) -> None:
        self.world = world
        self.bank_side = bank_side
        self.key = key

    async def token(self, who: str = "app", **how: Any) -> str:
        member = self.world.members[who]
        arrival = arrival_of(self.world, member, {}, target="/v1/pin-tokens", **how)
        body = await give_pin_token(
            self.world.platform, arrival, channel=member.channel, sender=member.sender, key=member.key
        )
        return msgspec.json.decode(body, type=PinTokenGiven).token

    async def send(self, who: str, fields: dict[str, str], phone: str, **how: Any) -> str | None:
        content = {"policy": "card", "element": {"kind": "phone", "phone": phone}, "fields": fields}
        if "pan" in fields:
            content["order"] = ORDER
        return (await send_part(self.world, self.world.members[who], content, **how)).joined

    async def pay(self, field: Secret, who: str = "app", pan: str = PAN) -> str:
        phone = next(PHONES)
        await self.send("pc", {"pan": pan}, phone)
        joined = await self.send(who, {"pin_block": field.reveal()}, phone)
        assert joined is not None
        await carry(self.world.platform, joined)
        return joined

    async def state(self, payment_id: str) -> tuple[PaymentState, str | None]:
        payment = await self.world.store.read(lambda books: books.payment(payment_id))
        assert payment is not None
        return payment.state, payment.reason

    async def proven(self, pan: str = PAN) -> None:
        """Check the PIN of the last request as its back end would."""
        card = self.bank_side.instructions[-1].credential
        assert isinstance(card, CardCredential)
        assert card.pin is not None
        assert card.pin_block is None
        block = await self.world.pins.translate(card.pin, card.pan, ZONE)
        pin.verify(block, Pan(pan), bytes.fromhex(ZONE.key or ""), PinFormat.ISO_0, PIN)


@pytest.fixture
async def app(tmp_path: Path) -> App:
    world = await memory_platform()
    for channel_id in ("pc", "app", "till", "plain"):
        await world.channel(channel_id)
    bank_side = await world.back_end(bank())
    own = await world.pins.make_key()
    write_key(tmp_path, "app-1", DEVICE, await world.pins.device_key(own, DEVICE))
    transport = bytes(range(32))
    header = KeyBlockHeader(
        version=BlockVersion.D, usage=KeyUsage.BASE_DERIVATION, algorithm=KeyAlgorithm.TDES, mode=ModeOfUse.DERIVE
    )
    foreign = await world.pins.import_key(
        PinScheme.DUKPT_TDES, Secret(transport.hex()), tr31.wrap(transport, header, TDES, SeededRandomness())
    )
    for name, channel_id, scheme, block in (
        ("app-1", "app", PinScheme.DUKPT_AES, own),
        ("till-7", "till", PinScheme.DUKPT_TDES, foreign),
    ):
        key = PinKey(name=name, channel_id=channel_id, scheme=scheme, key_block=block, created_at=world.clock.now())
        await world.store.transact(lambda books, key=key: books.add_pin_key(key))
    return App(world, bank_side, DevicePinKey(tmp_path))


def till(counter: int, **changes: Any) -> Secret:
    ksn = (int.from_bytes(bytes.fromhex("FFFF9876543210E00000")) | counter).to_bytes(10)
    key = dukpt_tdes.pin_key(dukpt_tdes.initial_key(TDES, ksn), ksn)
    block = Secret(pin.encipher(PIN, PinFormat.ISO_1, key).hex().upper())
    usual = {"form": 1, "key": "till-7", "ksn": ksn.hex().upper(), "block": block}
    return PinText(**usual | changes).write()


async def test_our_own_clients_block_over_a_token_pays(app: App) -> None:
    joined = await app.pay(app.key.block(PIN, await app.token()))

    assert (PaymentState.APPROVED, None) == await app.state(joined)
    await app.proven()


async def test_a_foreign_terminals_format_1_block_pays(app: App) -> None:
    joined = await app.pay(till(1), who="till")

    assert (PaymentState.APPROVED, None) == await app.state(joined)
    await app.proven()


async def test_a_channel_without_a_pin_key_still_sends_a_clear_block_in_its_envelope(app: App) -> None:
    joined = await app.pay(pin_block_1(PIN), who="plain")

    assert (PaymentState.APPROVED, None) == await app.state(joined)


async def test_a_channel_with_a_pin_key_is_never_led_back_to_a_clear_block(app: App) -> None:
    with pytest.raises(FieldInvalid, match="no clear PIN block"):
        await app.pay(pin_block_1(PIN), who="app")


async def test_a_key_of_another_channel_is_refused(app: App) -> None:
    with pytest.raises(FieldInvalid, match="no PIN key of this name"):
        await app.pay(till(1), who="app")
    with pytest.raises(FieldInvalid, match="no PIN key of this name"):
        await app.pay(till(1), who="plain")


async def test_a_token_of_another_channel_used_or_over_is_refused(app: App) -> None:
    key = PinKey(name="b", channel_id="plain", scheme=PinScheme.DUKPT_AES, key_block="D", created_at=limits.EPOCH_MS)  # type: ignore[arg-type]  # any time
    await app.world.store.transact(lambda books: books.add_pin_key(key))
    foreign, used, old = await app.token("plain"), await app.token(), await app.token()
    await app.pay(app.key.block(PIN, used))
    await app.world.clock.advance(limits.SECRET_LIFE_MS)

    for token in (foreign, used, old, "9000000000000002"):
        with pytest.raises(FieldInvalid, match="token"):
            await app.pay(app.key.block(PIN, token))
    await app.pay(app.key.block(PIN, await app.token()))


async def test_a_serial_number_only_goes_forward(app: App) -> None:
    await app.pay(till(4), who="till")
    for counter in (4, 1):
        with pytest.raises(Replayed):
            await app.pay(till(counter), who="till")
    await app.pay(till(5), who="till")


async def test_a_refused_part_uses_up_neither_its_serial_number_nor_its_token(app: App) -> None:
    token, phone = await app.token(), next(PHONES)
    block = app.key.block(PIN, token).reveal()
    await app.send("app", {"pan": PAN}, phone)
    with pytest.raises(Refused):
        await app.send("app", {"pin_block": block}, phone)

    assert PaymentState.APPROVED == (await app.state(await app.pay(Secret(block))))[0]


async def test_a_retry_of_a_part_is_no_replay(app: App) -> None:
    phone, block = next(PHONES), till(9).reveal()
    for _ in range(2):
        await app.send("till", {"pin_block": block}, phone, idempotency_key="again")
    with pytest.raises(IdempotencyMismatch):
        await app.send("till", {"pin_block": till(10).reveal()}, phone, idempotency_key="again")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ksn": None}, "needs a serial number"),
        ({"ksn": "123456789012345600000001"}, "10 bytes"),
        ({"ksn": "FFFF9876543210E00000"}, "no device uses"),
        ({"form": 4, "token": "9000000000000002", "block": Secret("0" * 32)}, "under an AES key"),
    ],
)
async def test_a_serial_number_or_format_that_does_not_fit_the_key_is_refused(
    app: App, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(FieldInvalid, match=says):
        await app.pay(till(1, **changes), who="till")


async def test_a_token_is_bound_to_the_card_it_was_joined_with_and_to_no_other(app: App) -> None:
    token = await app.token()
    joined = await app.pay(app.key.block(PIN, token))
    held = await app.world.store.read(lambda books: books.pin_token(token))
    assert held is not None

    assert joined == held.payment_id
    assert held.record == await app.world.pins.bind(token, Pan(PAN), joined)
    other = await app.world.pins.bind(token, Pan("6212142600000000050"), joined)
    assert not await app.world.store.transact(lambda books: books.bind_pin_token(token, other))


async def test_a_part_moved_to_another_payment_in_the_database_is_refused(app: App) -> None:
    """Who can write rows swaps the victim's PIN part into a payment with a card of his own."""
    phone, token = next(PHONES), await app.token()
    await app.send("pc", {"pan": PAN}, phone)
    joined = await app.send("app", {"pin_block": app.key.block(PIN, token).reveal()}, phone)
    assert joined is not None
    held = await app.world.store.read(lambda books: books.pin_token(token))
    assert held is not None
    moved = msgspec.structs.replace(held, payment_id="pay_of_another")
    app.world.store._books._pin_tokens.put(token, moved)
    await carry(app.world.platform, joined)

    assert (PaymentState.REFUSED, "pin_not_bound") == await app.state(joined)
    assert [] == app.bank_side.instructions


async def test_a_block_over_another_token_than_its_text_says_reaches_no_back_end(app: App) -> None:
    field = app.key.block(PIN, await app.token())
    text = read_pin_text(field)
    assert text is not None
    lied = msgspec.structs.replace(text, token=await app.token()).write()
    await app.pay(lied)
    card = app.bank_side.instructions[-1].credential
    assert isinstance(card, CardCredential)
    assert card.pin is not None

    with pytest.raises(Refused):
        await app.world.pins.translate(card.pin, card.pan, ZONE)


async def test_a_retired_key_pays_no_more(app: App) -> None:
    phone = next(PHONES)
    await app.send("pc", {"pan": PAN}, phone)
    joined = await app.send("till", {"pin_block": till(1).reveal()}, phone)
    assert joined is not None
    await app.world.store.transact(lambda books: books.retire_pin_key("till-7", app.world.clock.now()))
    await carry(app.world.platform, joined)

    assert (PaymentState.REFUSED, "pin_key_gone") == await app.state(joined)
    with pytest.raises(FieldInvalid):
        await app.pay(till(2), who="till")


async def test_a_payment_waits_while_the_pin_process_is_away(app: App) -> None:
    app.world.pins.away = True
    phone, token = next(PHONES), await app.token()
    await app.send("pc", {"pan": PAN}, phone)
    joined = await app.send("app", {"pin_block": app.key.block(PIN, token).reveal()}, phone)
    assert joined is not None
    await carry(app.world.platform, joined)
    assert PaymentState.JOINED == (await app.state(joined))[0]

    app.world.pins.away = False
    await carry(app.world.platform, joined)
    assert PaymentState.APPROVED == (await app.state(joined))[0]


async def test_a_channel_without_a_pin_key_gets_no_token(app: App) -> None:
    with pytest.raises(FieldNotAllowed):
        await app.token("plain")


async def test_tokens_are_purged_when_no_payment_can_need_them(app: App) -> None:
    token = await app.token()
    await app.world.clock.advance(2 * limits.SECRET_LIFE_MS - 1)
    await purge(app.world.platform)
    assert await app.world.store.read(lambda books: books.pin_token(token)) is not None
    await app.world.clock.advance(1)
    await purge(app.world.platform)
    assert await app.world.store.read(lambda books: books.pin_token(token)) is None


async def test_the_pin_process_binds_no_number_that_could_be_a_card(app: App) -> None:
    with pytest.raises(Forbidden):
        await app.world.pins.bind(PAN, Pan(PAN), "pay_1")
