"""What do our envelopes and signatures cost beside the bare library, on one core?

Run `python -m bench.crypto [--quick]`; writes bench/results/crypto.json (--quick only prints). Each case does the same
work twice, by our own API and by the library below it, in turns of some tens of milliseconds; the CPU time of this
thread counts, so a busy machine shifts rates, hardly ratios. `ratio` is the median over the rounds of our rate by the
bare rate.
"""

import hmac
import json
import os
import platform
import statistics
import sys
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cryptography
import http_message_signatures as other
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from joserfc import jwe

from tallystick.adapters.keys.opening import JweOpener
from tallystick.crypto import httpsig
from tallystick.crypto.hpke import OpeningKey, Suite, seal
from tallystick.crypto.jose import JweKey, seal_jwe
from tallystick.crypto.signing import EcdsaPrivate, Ed25519Private, HmacKey
from tallystick.runtime import Millis
from tallystick.security.model import Arrival, Sender
from tallystick.security.ports import Opener
from tallystick.security.unseal import info_of, open_envelope
from tallystick.security.verify import COVERED_WITH_BODY, Verified, verify
from tallystick.wire.part import SealedMessage

RESULT = Path(__file__).parent / "results" / "crypto.json"
ROUNDS, QUICK_ROUNDS = 15, 5
TURN_NS = 40_000_000  # ns of CPU time of one turn
AIM = 0.8
CONTENT = os.urandom(400).hex().encode()  # 800 bytes, as a part with an order has
TARGET, SENDER, NONCE, CREATED = "/v1/parts", "ch_2k5qz7mzv5c6hgk3u4xw2n7a4e", "n" * 22, int(time.time())
PROVEN = Verified(sender=SENDER, nonce=NONCE, created=CREATED, idempotency_key="key")
AT = Millis(CREATED * 1000)


@dataclass(frozen=True)
class Case:
    """One job: `ours` through this package, `bare` through the library below it."""

    name: str
    group: str
    ours: Callable[[], Any]
    bare: Callable[[], Any]


def holding(opener: Opener) -> Any:
    """Return opening keys of which there is one."""
    return SimpleNamespace(opener=lambda _key_id, _now: opener)


def opens() -> Iterator[Case]:
    """Open a part: from the text in the message to the content, bound to address, key, sender, time and nonce."""
    arrival = Arrival(method="POST", target=TARGET, headers={}, body=b"", at=AT)
    for suite, kem in ((Suite.MLKEM768_X25519, hpke.KEM.MLKEM768_X25519), (Suite.P256, hpke.KEM.P256)):
        key, info = OpeningKey.generate(suite), info_of(TARGET, "pk_1", PROVEN, ())
        sealed = seal(suite, key.public, CONTENT, info)
        envelope = SealedMessage(
            v=1, key_id="pk_1", format="hpke", sealed=urlsafe_b64encode(sealed).decode().rstrip("=")
        )
        library, parsed = hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM), key._parsed  # noqa: SLF001
        yield Case(
            f"open HPKE {suite.name}",
            "opens",
            lambda e=envelope, k=key: open_envelope(e, arrival, PROVEN, holding(k)),
            lambda s=sealed, p=parsed, h=library, i=info: h.decrypt(s, p, i),
        )
    jwe_key = JweKey.generate("pk_2")
    token = seal_jwe(jwe_key.public_jwk(), CONTENT, info_of(TARGET, "pk_2", PROVEN, ()))
    registry, bare_key = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"]), jwe_key._key  # noqa: SLF001
    sealed_message = SealedMessage(v=1, key_id="pk_2", format="jwe", sealed=token)
    yield Case(
        "open JWE ECDH-ES",
        "opens",
        lambda: open_envelope(sealed_message, arrival, PROVEN, holding(JweOpener(jwe_key))),
        lambda: jwe.decrypt_compact(token, bare_key, registry=registry).plaintext,
    )


def signatures() -> Iterator[Case]:
    """Sign and verify bytes, which is what the library does too."""
    data, secret = os.urandom(600), os.urandom(32)
    mac, code = HmacKey(secret), hmac.digest(secret, data, "sha256")
    yield Case("sign HMAC-SHA256", "signatures", lambda: mac.sign(data), lambda: hmac.digest(secret, data, "sha256"))
    yield Case(
        "verify HMAC-SHA256",
        "signatures",
        lambda: mac.verify(data, code),
        lambda: hmac.compare_digest(hmac.digest(secret, data, "sha256"), code),
    )
    edwards = Ed25519Private()
    bare, public = edwards._key, edwards.public()  # noqa: SLF001
    bare_public, signature = bare.public_key(), edwards.sign(data)
    yield Case("sign Ed25519", "signatures", lambda: edwards.sign(data), lambda: bare.sign(data))
    yield Case(
        "verify Ed25519",
        "signatures",
        lambda: public.verify(data, signature),
        lambda: bare_public.verify(signature, data),
    )
    curve = EcdsaPrivate()
    private, scheme = curve._key, ec.ECDSA(hashes.SHA256())  # noqa: SLF001
    verifier, pair = curve.public(), curve.sign(data)
    bare_verifier, der = private.public_key(), private.sign(data, scheme)
    yield Case("sign ECDSA P-256", "signatures", lambda: curve.sign(data), lambda: private.sign(data, scheme))
    yield Case(
        "verify ECDSA P-256",
        "signatures",
        lambda: verifier.verify(data, pair),
        lambda: bare_verifier.verify(der, data, scheme),
    )


def messages() -> Iterator[Case]:
    """Sign and verify a whole request (RFC 9421, RFC 9530).

    Bare is the library for it, http-message-signatures, with parsed keys; and once more ("text left out") only the
    body's digest and the primitive over a base that is there already, which no HTTP message can be had for.
    """
    body = os.urandom(900).hex().encode()
    headers = {"content-type": "application/json", "idempotency-key": "a" * 26, "host": "pay.example"}
    for name, key, checker in (
        ("HMAC-SHA256", mac := HmacKey(os.urandom(32)), mac),
        ("Ed25519", edwards := Ed25519Private(), edwards.public()),
        ("ECDSA P-256", curve := EcdsaPrivate(), curve.public()),
    ):
        request = {"method": "POST", "target": TARGET, "body": body, "headers": headers}
        stated = {"keyid": SENDER, "covered": COVERED_WITH_BODY, "created": CREATED, "nonce": NONCE}
        added = httpsig.sign_request(key, **request, **stated)
        whole = {**headers, **added}
        params = httpsig.parse_signature(whole)
        derived = {"@method": "POST", "@path": TARGET}
        arrival = Arrival(method="POST", target=TARGET, headers=whole, body=body, at=AT)
        sender = Sender(id=SENDER, algorithm=key.algorithm, sealed_key=b"")
        theirs = other_library(key, checker, whole, body)
        yield Case(
            f"sign request {name}",
            "messages",
            lambda k=key, r=request, s=stated: httpsig.sign_request(k, **r, **s),
            theirs[0],
        )
        yield Case(
            f"verify request {name}",
            "messages",
            lambda a=arrival, s=sender, c=checker: verify(a, s, c),
            theirs[1],
        )
        sign, check = bare_primitives(
            key, httpsig.signature_base(params.components, params.raw, derived, whole), params.signature
        )
        yield Case(
            f"sign request {name}, text left out",
            "without HTTP",
            lambda k=key, r=request, s=stated: httpsig.sign_request(k, **r, **s),
            lambda s=sign, b=body: (b64encode(sha256(b).digest()), b64encode(s())),
        )
        yield Case(
            f"verify request {name}, text left out",
            "without HTTP",
            lambda a=arrival, s=sender, c=checker: verify(a, s, c),
            lambda c=check, b=body: (b64encode(sha256(b).digest()), c()),
        )


@dataclass
class Message:
    """A request in the shape that http-message-signatures reads."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Resolver:
    """Keys that are parsed already, as ours are."""

    private: Any
    public: Any

    def resolve_private_key(self, _key_id: str) -> Any:
        """Return the key that signs."""
        return self.private

    def resolve_public_key(self, _key_id: str) -> Any:
        """Return the key that verifies."""
        return self.public


def other_library(
    key: Any, checker: Any, whole: dict[str, str], body: bytes
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return signing and verifying of the same request by http-message-signatures, digest included."""
    if isinstance(key, HmacKey):
        algorithm, resolver = other.algorithms.HMAC_SHA256, Resolver(key._secret, key._secret)  # noqa: SLF001
    else:
        edwards = isinstance(key, Ed25519Private)
        algorithm = other.algorithms.ED25519 if edwards else other.algorithms.ECDSA_P256_SHA256
        resolver = Resolver(key._key, checker._key)  # noqa: SLF001
    maker = other.HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=resolver)
    reader = other.HTTPMessageVerifier(signature_algorithm=algorithm, key_resolver=resolver)
    url = f"https://pay.example{TARGET}"
    unsigned = {name: value for name, value in whole.items() if not name.startswith("signature")}
    signed = Message("POST", url, whole)

    def sign() -> None:
        headers = {**unsigned, "content-digest": httpsig.content_digest(body)}
        maker.sign(
            Message("POST", url, headers),
            key_id=SENDER,
            nonce=NONCE,
            covered_component_ids=COVERED_WITH_BODY,
            use_existing_digest=True,
        )

    def check() -> None:
        reader.verify(signed, require_components=COVERED_WITH_BODY, body=body)

    return sign, check


def bare_primitives(key: Any, base: bytes, signature: bytes) -> tuple[Callable[[], bytes], Callable[[], Any]]:
    """Return signing and verifying of a message's base by the library alone, in the form of RFC 9421."""
    if isinstance(key, HmacKey):
        secret = key._secret  # noqa: SLF001
        return (
            lambda: hmac.digest(secret, base, "sha256"),
            lambda: hmac.compare_digest(hmac.digest(secret, base, "sha256"), signature),
        )
    private = key._key  # noqa: SLF001
    public = private.public_key()
    if isinstance(key, Ed25519Private):
        return lambda: private.sign(base), lambda: public.verify(signature, base)
    scheme = ec.ECDSA(hashes.SHA256())

    def sign() -> bytes:
        r, s = decode_dss_signature(private.sign(base, scheme))
        return r.to_bytes(32) + s.to_bytes(32)

    def check() -> None:
        der = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        public.verify(der, base, scheme)

    return sign, check


def count_for(act: Callable[[], Any]) -> int:
    """Return how many times `act` fits into a turn."""
    began, done = time.thread_time_ns(), 0
    while time.thread_time_ns() - began < TURN_NS // 4:
        act()
        done += 1
    return max(4 * done, 1)


def us_each(act: Callable[[], Any], count: int) -> float:
    began = time.thread_time_ns()
    for _ in range(count):
        act()
    return (time.thread_time_ns() - began) / count / 1000


def measure(case: Case, rounds: int) -> dict[str, float | str]:
    """Take turns; a case whose two sides did different work would say so by an exception here."""
    count = min(count_for(case.ours), count_for(case.bare))
    pairs = [(us_each(case.ours, count), us_each(case.bare, count)) for _ in range(rounds)]
    ours, bare = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(bare_us / ours_us for ours_us, bare_us in pairs)
    return {
        "group": case.group,
        "ours_per_s": round(1e6 / ours),
        "bare_per_s": round(1e6 / bare),
        "ours_us": round(ours, 2),
        "bare_us": round(bare, 2),
        "ratio": round(ratio, 3),
    }


def main() -> None:
    quick = "--quick" in sys.argv[1:]
    found = {}
    for case in (*opens(), *signatures(), *messages()):
        found[case.name] = measure(case, QUICK_ROUNDS if quick else ROUNDS)
        row = found[case.name]
        print(f"{case.name:<34} {row['ours_per_s']:>9} /s  bare {row['bare_per_s']:>9} /s  ratio {row['ratio']:.3f}")
    if quick:
        return
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "cryptography": cryptography.__version__}
    document = {"machine": machine, "content_bytes": len(CONTENT), "rounds": ROUNDS, "aim": AIM, "cases": found}
    RESULT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
