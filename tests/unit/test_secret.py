"""A secret shows itself to nobody who did not ask by name."""

import copy
import json
import logging
import pickle
import traceback

import msgspec
import pytest

from tallystick.secret import MASK, Pan, Secret
from tallystick.vault.model import CardCredential

VALUE = "6212142600000000043"
BOTH = pytest.mark.parametrize("secret", [Secret(VALUE), Pan(VALUE)], ids=["Secret", "Pan"])


@BOTH
def test_no_way_of_printing_shows_a_secret(secret: Secret) -> None:
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        "{:s}".format(secret),  # noqa: UP032  # the old ways are the point
        "%s %r" % (secret, secret),  # noqa: UP031  # as above
        repr([secret]),
        repr({"pan": secret}),
        repr(CardCredential(pan=Pan(VALUE), expiry=secret)),
        json.dumps({"pan": secret}, default=str),
    ]
    assert [] == [text for text in shown if VALUE in text or VALUE[-4:] in text]
    assert MASK in shown[0]


@BOTH
def test_a_secret_is_never_pickled_nor_encoded(secret: Secret) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError) as refusal:
            pickle.dumps(secret, protocol)
        assert VALUE not in str(refusal.value)
    for encode in (msgspec.json.encode, msgspec.msgpack.encode, json.dumps):
        with pytest.raises(TypeError) as refusal:
            encode({"pan": secret})
        assert VALUE not in str(refusal.value)


@BOTH
def test_a_copy_is_the_secret_itself(secret: Secret) -> None:
    assert secret is copy.copy(secret)
    assert secret is copy.deepcopy(secret)


@BOTH
def test_a_secret_is_no_key_and_no_member_of_a_set(secret: Secret) -> None:
    with pytest.raises(TypeError):
        hash(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_are_equal_when_their_values_are_and_equal_to_nothing_else() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Pan(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE + "0")
    assert VALUE != Secret(VALUE)
    assert Secret("é") == Secret("é")


def test_a_traceback_and_a_log_record_do_not_show_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    def fail(secret: Secret) -> None:
        raise ValueError(f"cannot use {secret}")

    with pytest.raises(ValueError, match="cannot use") as failure:
        fail(Secret(VALUE))
    logging.getLogger("test").error("failed with %s", Secret(VALUE), exc_info=failure.value)
    assert VALUE not in "".join(traceback.format_exception(failure.value))
    assert "failed with" in caplog.text
    assert VALUE not in caplog.text


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("6212142600000000043", "621214•••••••••0043"),
        ("4111111111111111", "411111••••••1111"),
        ("4222222222222", "422222•••2222"),
        ("622222222222", MASK),
        ("62222222222222222222", MASK),
        ("411111111111111x", MASK),
        ("４１１１１１１１１１１１１１１１", MASK),  # noqa: RUF001
        ("", MASK),
    ],
)
def test_a_masked_card_number_shows_six_and_four_digits_at_most(value: str, masked: str) -> None:
    assert masked == Pan(value).masked
