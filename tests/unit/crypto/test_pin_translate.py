"""Which PIN blocks become which: the whole table, and what a binding keeps apart."""

import itertools

import pytest

from tallystick.crypto import pin, pin_token, pin_translate
from tallystick.crypto.pin import PinFormat
from tallystick.crypto.pin_translate import ALLOWED, Block, Bound, Over
from tallystick.errors import CredentialRefused, Forbidden, Malformed, Misconfigured
from tallystick.secret import Pan, Secret

TDES = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
AES = bytes.fromhex("C1D0F8FB4958670DBA40AB1F3752EF0D")
ZONE_TDES, ZONE_AES = TDES[::-1], AES[::-1]
KEY = bytes(range(32))
PAN = Pan("6221558812340000")
TOKEN = "9000000000000002"
PIN = Secret("123456")
BOUND = Bound(TOKEN, pin_token.record(KEY, TOKEN, PAN, "pay_1"), "pay_1", KEY)
ALL = range(16)  # every value a control nibble can have
LAWFUL = {(form, over, target) for form, over in ((1, Over.NOTHING), (4, Over.TOKEN)) for target in (0, 3, 4)}


def zone(form: PinFormat) -> bytes:
    return ZONE_AES if form is PinFormat.ISO_4 else ZONE_TDES


def block(form: PinFormat, over: str = TOKEN) -> Block:
    key = AES if form is PinFormat.ISO_4 else TDES
    return Block(form, key, pin.encipher(PIN, form, key, None if form is PinFormat.ISO_1 else Secret(over)))


def test_the_table_is_the_published_rule_and_no_more() -> None:
    assert LAWFUL == {(form, over, target) for (form, over), targets in ALLOWED.items() for target in targets}


@pytest.mark.parametrize(("form", "over", "target"), list(itertools.product(ALL, Over, ALL)))
def test_every_pair_of_formats_is_translated_only_if_the_table_says_so(form: int, over: Over, target: int) -> None:
    """Control nibbles that are no format of ours cannot even be written as one."""
    if {form, target} - set(PinFormat):
        with pytest.raises(ValueError, match="is not a valid PinFormat"):
            pin_translate.require_allowed(PinFormat(form), over, PinFormat(target))
    elif (form, over, target) in LAWFUL:
        bound = BOUND if over is Over.TOKEN else None
        to = PinFormat(target)
        made = pin_translate.translate(block(PinFormat(form)), PAN, zone(to), to, bound)
        pin.verify(made, PAN, zone(to), to, PIN)
    else:
        with pytest.raises(Forbidden):
            pin_translate.require_allowed(PinFormat(form), over, PinFormat(target))


@pytest.mark.parametrize("form", [PinFormat.ISO_0, PinFormat.ISO_3, PinFormat.ISO_4])
def test_a_block_over_a_token_without_its_binding_is_refused(form: PinFormat) -> None:
    with pytest.raises(Forbidden):
        pin_translate.translate(block(form), PAN, ZONE_AES, PinFormat.ISO_4)


@pytest.mark.parametrize(
    ("changed", "pan"),
    [
        ({"token": "9000000000000003"}, PAN),
        ({"payment_id": "pay_2"}, PAN),
        ({"record": bytes(16)}, PAN),
        ({"record": b""}, PAN),
        ({}, Pan("6221558812340001")),
    ],
)
def test_a_block_of_another_token_payment_or_card_is_refused(changed: dict[str, str], pan: Pan) -> None:
    with pytest.raises(Forbidden):
        pin_translate.translate(
            block(PinFormat.ISO_4),
            pan,
            ZONE_AES,
            PinFormat.ISO_4,
            BOUND._replace(**changed),  # type: ignore[arg-type]  # as named
        )


def test_a_block_over_another_token_than_the_bound_one_is_refused() -> None:
    with pytest.raises(Malformed):
        pin_translate.translate(block(PinFormat.ISO_4, "9000000000000003"), PAN, ZONE_AES, PinFormat.ISO_4, BOUND)


def test_a_block_under_another_key_is_refused() -> None:
    with pytest.raises(Malformed):
        pin_translate.translate(block(PinFormat.ISO_1)._replace(key=ZONE_TDES), PAN, ZONE_TDES, PinFormat.ISO_0)


def test_keys_of_the_other_algorithm_are_refused() -> None:
    with pytest.raises(Misconfigured):
        pin_translate.translate(block(PinFormat.ISO_1)._replace(key=AES * 2), PAN, ZONE_TDES, PinFormat.ISO_0)
    with pytest.raises(Misconfigured):
        pin_translate.translate(block(PinFormat.ISO_1), PAN, ZONE_AES[:8], PinFormat.ISO_4)


def test_the_translated_pin_is_the_senders() -> None:
    made = pin_translate.translate(block(PinFormat.ISO_4), PAN, ZONE_TDES, PinFormat.ISO_0, BOUND)

    with pytest.raises(CredentialRefused):
        pin.verify(made, PAN, ZONE_TDES, PinFormat.ISO_0, Secret("123457"))
