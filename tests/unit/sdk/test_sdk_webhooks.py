"""What a receiver gets out of a webhook, and what it refuses."""

import msgspec
import pytest

from tallystick.crypto.signing import Ed25519Private
from tallystick.crypto.webhooks import sign, write_secret
from tallystick.errors import Malformed, SignatureInvalid, Stale
from tallystick.runtime import Millis, SystemClock
from tallystick.sdk.webhooks import unwrap
from tallystick.wire.outcome import OutcomeData, OutcomeMessage, rfc3339

NOW = Millis(1_800_000_000_000)
SECRET = write_secret(b"s" * 32)
MESSAGE = OutcomeMessage(
    type="payment.approved",
    id="evt_1",
    timestamp=rfc3339(NOW),
    data=OutcomeData(payment="pay_1", state="approved", response_code="00"),
)
BODY = msgspec.json.encode(MESSAGE)


def test_a_proven_webhook_is_read_whatever_the_case_of_its_headers() -> None:
    headers = {name.title(): value for name, value in sign("evt_1", NOW, BODY, [SECRET]).items()}
    assert MESSAGE == unwrap(BODY, headers, [SECRET.reveal()], now=NOW)


def test_the_identity_key_is_enough() -> None:
    identity = Ed25519Private()
    headers = sign("evt_1", NOW, BODY, [], identity)
    assert MESSAGE == unwrap(BODY, headers, identity=identity.public(), now=NOW)


def test_without_a_time_it_is_this_machines() -> None:
    headers = sign("evt_1", SystemClock().now(), BODY, [SECRET])
    assert MESSAGE == unwrap(BODY, headers, [SECRET.reveal()])
    with pytest.raises(Stale):
        unwrap(BODY, sign("evt_1", Millis(0), BODY, [SECRET]), [SECRET.reveal()])


def test_members_that_come_later_do_not_hurt_and_absent_ones_are_none() -> None:
    body = b'{"type":"part.expired","id":"evt_1","timestamp":"","new":1,"data":{"part":"part_1","also":2}}'
    message = unwrap(body, sign("evt_1", NOW, body, [SECRET]), [SECRET.reveal()], now=NOW)
    assert ("part_1", None) == (message.data.part, message.data.payment)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"type":"a"}'])
def test_a_proven_body_of_another_shape_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        unwrap(body, sign("evt_1", NOW, body, [SECRET]), [SECRET.reveal()], now=NOW)


def test_the_body_cannot_claim_another_id_than_the_one_to_act_once_for() -> None:
    with pytest.raises(SignatureInvalid):
        unwrap(BODY, sign("evt_2", NOW, BODY, [SECRET]), [SECRET.reveal()], now=NOW)


def test_times_are_written_in_utc() -> None:
    assert "2027-01-15T08:00:00.000Z" == rfc3339(NOW)
