"""What people type is folded the same way every time, refused by name, and never repeated in an answer."""

import unicodedata

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.assembly.content import PartValues, merge
from tallystick.assembly.element import code_element, normal_phone
from tallystick.assembly.policy import BUILT_IN, find, load, share_field
from tallystick.crypto.binding import bind
from tallystick.crypto.versioned import VersionedKey
from tallystick.errors import CredentialRefused, FieldInvalid
from tallystick.sdk.shares import split_shares
from tallystick.secret import Pan, Secret
from tallystick.security.fields import FIELD_NAMES, LUHN_WARNING, check_fields, warnings
from tallystick.security.folding import fold, fold_digits
from tallystick.security.orders import CURRENCIES, check_order
from tallystick.testing.clock import SeededRandomness
from tallystick.wire.part import WireOrder

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
DIGITS = st.text("0123456789", min_size=limits.PAN_MIN, max_size=limits.PAN_MAX)
FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")  # noqa: RUF001  # the very characters of the test
KEY = (VersionedKey(1, bytes(32)),)


def dressed(digits: str, group: int, separator: str, *, wide: bool) -> str:
    """Write digits as people do: in groups, in full-width forms."""
    grouped = separator.join(digits[i : i + group] for i in range(0, len(digits), group))
    return grouped.translate(FULL_WIDTH) if wide else grouped


@given(DIGITS, st.integers(1, 8), st.sampled_from(["", " ", "-", "\u3000", "\u00a0"]), st.booleans())
def test_a_card_number_is_the_same_however_it_is_written(digits: str, group: int, separator: str, wide: bool) -> None:  # noqa: FBT001
    written = dressed(digits, group, separator, wide=wide)
    assert {"pan": Pan(digits)} == check_fields({"pan": Secret(written)})


@given(DIGITS)
def test_the_luhn_digit_warns_exactly_when_it_is_wrong_and_never_refuses(digits: str) -> None:
    fitting = [last for last in "0123456789" if not warnings(check_fields({"pan": Secret(digits[:-1] + last)}))]
    assert 1 == len(fitting)
    wrong = Secret(digits[:-1] + str((int(fitting[0]) + 1) % 10))
    assert (LUHN_WARNING,) == warnings(check_fields({"pan": wrong}))


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("4111111111111111", ()), ("6212142600000000043", ()), ("6212142600000000044", (LUHN_WARNING,))],
)
def test_the_luhn_check_agrees_with_published_numbers(digits: str, expected: tuple[str, ...]) -> None:
    assert expected == warnings({"pan": Pan(digits)})


@given(st.sampled_from(sorted(FIELD_NAMES)), TEXT)
def test_a_value_is_refused_without_being_repeated_or_comes_out_in_its_one_form(name: str, text: str) -> None:
    refusal = None
    try:
        checked = check_fields({name: Secret(text)})
    except FieldInvalid as error:
        refusal = error
    if refusal is None:
        assert checked == check_fields(checked)
    else:
        assert (f"fields.{name}", refusal_of(name)) == (refusal.field, refusal.detail)


def refusal_of(name: str) -> str:
    """Return the text by which a field refuses: the same for every value."""
    with pytest.raises(FieldInvalid) as refusal:
        check_fields({name: Secret("")})
    return refusal.value.detail


@given(TEXT)
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(text) == fold(fold(text))
    folded = fold_digits(text)
    assert not folded.isascii() or folded == fold_digits(folded)  # digits and codes are refused unless they are ASCII


@given(
    st.builds(
        WireOrder,
        payee=TEXT,
        amount=st.integers(0, limits.AMOUNT_MAX + 1),
        currency=st.sampled_from([*sorted(CURRENCIES), "XXX"]),
        reference=TEXT,
    )
)
def test_a_checked_order_is_checked_again_to_itself(order: WireOrder) -> None:
    try:
        checked = check_order(order)
    except FieldInvalid:
        return
    assert checked == check_order(checked)
    assert unicodedata.is_normalized("NFKC", checked.payee)


@given(st.lists(TEXT, max_size=4), st.lists(TEXT, max_size=4))
def test_two_lists_of_texts_are_bound_alike_only_when_they_are_the_same(one: list[str], other: list[str]) -> None:
    assert (one == other) is (bind(*one) == bind(*other))


@given(TEXT)
def test_no_text_breaks_the_reading_of_elements(text: str) -> None:
    for read in (normal_phone, lambda typed: code_element(KEY, typed)):
        try:
            read(text)
        except FieldInvalid as refusal:
            assert len(text) < 6 or text not in refusal.detail  # noqa: PT017


@given(st.integers(2, limits.PARTS_MAX), TEXT, st.data())
def test_shares_give_the_whole_in_any_order_and_all_but_one_give_nothing(
    count: int, secret: str, data: st.DataObject
) -> None:
    assume(secret and secret.isprintable())
    fields = {"account": Secret("wallet:li"), "secret": Secret(secret)}
    made = split_shares(fields, count, SeededRandomness(count))
    parts = [PartValues(fields={share_field(share.index): share.data}) for share in made]
    policy = msgspec.structs.replace(find(load(BUILT_IN), "account-shares-2"), shares=count)
    assert fields == merge(policy, data.draw(st.permutations(parts)))
    wrong = PartValues(fields={share_field(1): Secret("A" * len(made[0].data))})
    with pytest.raises(CredentialRefused):
        merge(policy, [wrong, *parts[1:]])
