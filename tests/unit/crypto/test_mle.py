"""Message-level encryption: what opens, and everything that does not."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwe
from joserfc.jwk import RSAKey

from tallystick.crypto import mle
from tallystick.crypto.mle import ContentEncryption, MleKey, MlePublic
from tallystick.errors import EnvelopeUnopenable, FieldInvalid, Misconfigured
from tallystick.runtime import Millis

NOW = Millis(1_767_225_600_000)
CONTENT = b'{"type":"authorization"}'
KEY = MleKey.generate("own-1")
OTHER = MleKey.generate("own-1")
HEADER = {"alg": "RSA-OAEP-256", "enc": "A128GCM", "kid": "own-1", "typ": "JWE", "iat": NOW}

Header = dict[str, Any]


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def header_of(token: str) -> Header:
    coded, _, _ = token.partition(".")
    header: Header = json.loads(base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))
    return header


def sealed_with(header: Header) -> str:
    """Seal with any header for our key: everything but the header is right."""
    algorithms = [str(header.get(name)) for name in ("alg", "enc", "zip") if name in header]
    registry = jwe.JWERegistry(algorithms=algorithms, strict_check_header=False)
    return jwe.encrypt_compact(header, CONTENT, RSAKey.import_key(KEY.public().pem()), registry=registry)


def with_segment(place: int, change: Callable[[str], str]) -> str:
    segments = KEY.public().seal(CONTENT, NOW).split(".")
    segments[place] = change(segments[place])
    return ".".join(segments)


def flipped(segment: str) -> str:
    return ("B" if segment[0] == "A" else "A") + segment[1:]


def refusal(token: str, now: Millis = NOW, key: MleKey = KEY) -> str:
    with pytest.raises(EnvelopeUnopenable) as caught:
        key.open(token, now)
    assert caught.value.__cause__ is None
    return caught.value.detail


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
def test_what_is_sealed_opens_and_has_the_header_of_the_agreement(enc: ContentEncryption) -> None:
    token = KEY.public().seal(CONTENT, NOW, enc)
    assert CONTENT == KEY.open(token, NOW)
    assert {**HEADER, "enc": enc} == header_of(token)


def test_a_token_made_by_hand_with_the_same_header_opens() -> None:
    assert CONTENT == KEY.open(sealed_with(HEADER), NOW)


def test_the_same_content_is_never_sealed_alike() -> None:
    first, second = (KEY.public().seal(CONTENT, NOW).split(".")[1:] for _ in range(2))
    assert not set(first) & set(second)


@pytest.mark.parametrize("shift", [-mle.FRESH_MS, 0, mle.FRESH_MS])
def test_a_token_opens_two_minutes_before_and_after_it_was_sealed(shift: int) -> None:
    assert CONTENT == KEY.open(KEY.public().seal(CONTENT, NOW), Millis(NOW + shift))


@pytest.mark.parametrize("shift", [-mle.FRESH_MS - 1, mle.FRESH_MS + 1])
def test_a_token_is_refused_outside_of_two_minutes(shift: int) -> None:
    refusal(KEY.public().seal(CONTENT, NOW), Millis(NOW + shift))


@pytest.mark.parametrize(
    "changes",
    [
        {"alg": "RSA-OAEP"},
        {"alg": "RSA1_5"},
        {"enc": "A192GCM"},
        {"enc": "A128CBC-HS256"},
        {"zip": "DEF"},
        {"kid": "own-2"},
        {"typ": "JOSE"},
        {"cty": "application/json"},
        {"crit": ["kid"]},
        {"jku": "https://keys.example/"},
        {"iat": NOW // 1000},
        {"iat": str(NOW)},
        {"iat": None},
        {"iat": NOW + 0.5},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_token_with_another_header_is_refused(changes: Header) -> None:
    refusal(sealed_with({**HEADER, **changes}))


@pytest.mark.parametrize("name", ["kid", "typ", "iat"])
def test_a_token_without_a_member_is_refused(name: str) -> None:
    refusal(sealed_with({member: value for member, value in HEADER.items() if member != name}))


@pytest.mark.parametrize("place", range(5))
def test_a_token_with_one_changed_character_is_refused(place: int) -> None:
    refusal(with_segment(place, flipped))


@pytest.mark.parametrize("place", [1, 3, 4])
def test_a_token_with_a_shortened_segment_is_refused(place: int) -> None:
    refusal(with_segment(place, lambda segment: segment[:-6]))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "....",
        "a.b.c",
        "!.a.a.a.a",
        b64(b"[]") + ".a.a.a.a",
        b64(b"[" * 300) + ".a.a.a.a",
        b64(json.dumps(HEADER).encode()) + ".a.a.a.a",
        b64(json.dumps(HEADER).encode()) + ".\u00e9.a.a.a",
    ],
    ids=["empty", "dots", "JWS", "no base64", "no object", "nested", "no parts", "no ASCII"],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    refusal(token)


def test_a_right_token_beyond_the_bounds_of_its_size_is_refused() -> None:
    content = bytes(mle.TOKEN_MAX * 3 // 4)
    refusal(KEY.public().seal(content, NOW))
    assert content[:-1024] == KEY.open(KEY.public().seal(content[:-1024], NOW), NOW)
    named = MleKey.from_pem("k" * mle.HEADER_MAX, KEY.pem())
    refusal(named.public().seal(CONTENT, NOW), key=named)


def test_every_refusal_has_the_same_words() -> None:
    tokens = ["", sealed_with({**HEADER, "kid": "own-2"}), with_segment(1, flipped), with_segment(3, flipped)]
    words = {refusal(token) for token in tokens}
    words.add(refusal(KEY.public().seal(CONTENT, NOW), Millis(0)))
    words.add(refusal(OTHER.public().seal(CONTENT, NOW)))
    assert 1 == len(words)


def test_another_key_of_the_same_name_does_not_open() -> None:
    refusal(KEY.public().seal(CONTENT, NOW), key=OTHER)


def test_keys_come_back_from_pem() -> None:
    private, public = MleKey.from_pem("own-1", KEY.pem()), MlePublic.from_pem("own-1", KEY.public().pem())
    assert CONTENT == private.open(public.seal(CONTENT, NOW), NOW)
    assert ("own-1", "own-1") == (private.kid, KEY.public().kid)


def pem_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[bytes, bytes]:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "pems",
    [
        pem_of(rsa.generate_private_key(65_537, 1024)),  # noqa: S505 - that is what must be refused
        pem_of(ec.generate_private_key(ec.SECP256R1())),
        (b"", b""),
    ],
    ids=["RSA of 1024 bits", "elliptic curve", "no key"],
)
def test_keys_that_are_too_weak_or_of_another_kind_are_refused(pems: tuple[bytes, bytes]) -> None:
    private, public = pems
    with pytest.raises(Misconfigured):
        MleKey.from_pem("own-1", private)
    with pytest.raises(FieldInvalid):
        MlePublic.from_pem("own-1", public)


def test_a_private_key_is_in_no_text_of_the_object() -> None:
    assert KEY.pem().decode().splitlines()[1] not in repr(KEY) + str(KEY)
