"""What the builders make is what the platform's own stages verify and open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick import limits
from tallystick.adapters.keys.opening import SUITES, FileOpeningKeys
from tallystick.crypto.hpke import Suite
from tallystick.crypto.signing import EcdsaPrivate, Ed25519Private, HmacKey, Signer, Verifier
from tallystick.errors import EnvelopeUnopenable, FieldInvalid, SignatureInvalid, TallystickError, TooLarge
from tallystick.runtime import Millis
from tallystick.sdk.keys import HeldKeys
from tallystick.sdk.requests import Credentials, PaymentBinding, Request, seal_request, sign_get, target_of
from tallystick.secret import Pan, Secret
from tallystick.security.model import Arrival, Sender
from tallystick.security.unseal import content_decoder, open_envelope, read_content, read_envelope
from tallystick.security.verify import Verified, verify
from tallystick.wire.keys import PublishedKey
from tallystick.wire.part import PartContent, PhoneElement, WireOrder
from tallystick.wire.payment import Nothing

NOW = Millis(1_800_000_000_000)
CREATED = NOW // 1000
NONCE = "n" * limits.NONCE_MIN
ORDER = WireOrder(payee="Tea House", amount=1250, currency="CNY", reference="order 7")
CONTENT = PartContent(
    policy="card",
    element=PhoneElement("+8613800138000"),
    fields={"pan": Pan("6212142600000000043"), "expiry": Secret("3012")},
    order=ORDER,
)
ED25519, ECDSA, MAC = Ed25519Private(), EcdsaPrivate(), HmacKey(b"k" * 32)
SENDERS: list[tuple[Signer, Verifier]] = [(MAC, MAC), (ED25519, ED25519.public()), (ECDSA, ECDSA.public())]
IDENTITY = Ed25519Private()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileOpeningKeys]:
    directory: Path = tmp_path_factory.mktemp("platform") / "keys"
    made = FileOpeningKeys(directory, lambda: IDENTITY)
    made.rotate(NOW)
    yield made
    made.close()


def published(keys: FileOpeningKeys, suite: str = Suite.P256) -> PublishedKey:
    held = HeldKeys(IDENTITY.public(), suite)
    held.take(keys.published(NOW).encode(), NOW)
    return held.newest(NOW)


def seal(
    key: PublishedKey,
    *,
    signer: Signer = MAC,
    nonce: str = NONCE,
    payment: PaymentBinding | None = None,
    content: PartContent = CONTENT,
    idempotency_key: str = "idem_1",
) -> Request:
    return seal_request(
        Credentials("ch_shop", signer),
        key,
        "/v1/parts",
        content,
        created=CREATED,
        nonce=nonce,
        idempotency_key=idempotency_key,
        payment=payment,
    )


def arrive(request: Request) -> Arrival:
    return Arrival(method=request.method, target=request.target, headers=request.headers, body=request.body, at=NOW)


def check(request: Request, verifier: Verifier = MAC) -> Verified:
    sender = Sender(id="ch_shop", algorithm=verifier.algorithm, sealed_key=b"")
    return verify(arrive(request), sender, verifier)


def unseal(request: Request, keys: FileOpeningKeys, *bound: str, verifier: Verifier = MAC) -> bytes:
    verified, arrival = check(request, verifier), arrive(request)
    return open_envelope(read_envelope(arrival), arrival, verified, keys, bound)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(("signer", "verifier"), SENDERS)
def test_a_sealed_request_verifies_and_opens_to_the_same_content(
    keys: FileOpeningKeys, suite: str, signer: Signer, verifier: Verifier
) -> None:
    request = seal(published(keys, suite), signer=signer)
    content = unseal(request, keys, verifier=verifier)
    assert read_content(content, content_decoder(PartContent)) == CONTENT
    assert check(request, verifier) == Verified(
        sender="ch_shop", nonce=NONCE, created=CREATED, idempotency_key="idem_1"
    )


@pytest.mark.parametrize("suite", SUITES)
def test_a_part_for_a_created_payment_opens_only_with_that_payments_facts(keys: FileOpeningKeys, suite: str) -> None:
    request = seal(published(keys, suite), payment=PaymentBinding.of("pay_a", ORDER))
    facts = ("pay_a", "Tea House", "1250", "CNY", "order 7")
    assert read_envelope(arrive(request)).payment == "pay_a"
    assert unseal(request, keys, *facts)
    for other in ((), ("pay_b", *facts[1:]), (*facts[:2], "1251", *facts[3:])):
        with pytest.raises(EnvelopeUnopenable):
            unseal(request, keys, *other)


def test_a_binding_holds_the_order_as_the_platform_folds_it() -> None:
    typed = WireOrder(payee=" ＴＥＡ House ", amount=5, currency="CNY")  # noqa: RUF001 - what folding is for
    assert PaymentBinding.of("pay_a", typed).texts() == ("pay_a", "TEA House", "5", "CNY", "")


def test_an_envelope_moved_to_another_message_does_not_open(keys: FileOpeningKeys) -> None:
    key = published(keys)
    first, second = seal(key), seal(key, nonce="m" * limits.NONCE_MIN)
    arrival = arrive(first)
    with pytest.raises(EnvelopeUnopenable):
        open_envelope(read_envelope(arrival), arrival, check(second), keys)


def test_a_retry_opens_to_the_very_same_bytes(keys: FileOpeningKeys) -> None:
    key = published(keys)
    first, again = seal(key), seal(key, nonce="m" * limits.NONCE_MIN)
    assert unseal(first, keys) == unseal(again, keys)
    assert first.body != again.body


def test_nothing_of_the_credential_is_readable_in_a_request(keys: FileOpeningKeys) -> None:
    assert "6212142600000000043" not in repr(seal(published(keys)))


def test_an_altered_body_is_refused(keys: FileOpeningKeys) -> None:
    request = seal(published(keys))
    altered = Request(request.method, "/v1/payments", request.headers, request.body, request.nonce)
    with pytest.raises(SignatureInvalid):
        check(altered)


def test_content_beyond_its_bound_is_refused_before_it_is_sealed(keys: FileOpeningKeys) -> None:
    large = PartContent(policy="login", element=CONTENT.element, fields={"password": Secret("p" * limits.CONTENT_MAX)})
    with pytest.raises(TooLarge):
        seal(published(keys), content=large)


@pytest.mark.parametrize("key", ["", "x" * (limits.IDEMPOTENCY_KEY_MAX + 1), "a\r\nb", "é", "a b"])
def test_an_idempotency_key_of_wrong_form_is_refused(keys: FileOpeningKeys, key: str) -> None:
    with pytest.raises(FieldInvalid, match="idempotency key"):
        seal(published(keys), idempotency_key=key)


@pytest.mark.parametrize(
    ("suite", "public"), [("X-Wing", "AAAA"), (Suite.P256, "A"), (Suite.P256, "AAAA"), ("ECDH-ES+A256GCM", {})]
)
def test_a_published_key_that_cannot_be_used_is_refused(suite: str, public: str | dict[str, str]) -> None:
    key = PublishedKey(id="pk_a", format="hpke", suite=suite, public=public, not_before=0, not_after=1)
    with pytest.raises(TallystickError):
        seal(key)


def test_an_empty_content_is_sealed_as_an_empty_object(keys: FileOpeningKeys) -> None:
    request = seal_request(
        Credentials("ch_shop", MAC),
        published(keys),
        target_of("/v1/payments", "pay_a", "cancel"),
        Nothing(),
        created=CREATED,
        nonce=NONCE,
        idempotency_key="idem_1",
    )
    assert request.target == "/v1/payments/pay_a/cancel"
    assert unseal(request, keys) == b"{}"


@pytest.mark.parametrize(("signer", "verifier"), SENDERS)
def test_a_signed_get_verifies_without_a_body(signer: Signer, verifier: Verifier) -> None:
    request = sign_get(Credentials("ch_shop", signer), target_of("/v1/parts", "part_a"), created=CREATED, nonce=NONCE)
    assert (request.method, request.body) == ("GET", b"")
    assert check(request, verifier).nonce == NONCE


@pytest.mark.parametrize("name", ["", "../payments/pay_a", "part_a?x=1", "part a", "pärt"])
def test_an_id_that_would_change_the_address_is_refused(name: str) -> None:
    with pytest.raises(FieldInvalid):
        target_of("/v1/parts", name)
