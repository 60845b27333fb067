"""HTTP Message Signatures, the subset the platform needs (RFC 9421) with Content-Digest (RFC 9530).

One signature a message, in canonical form only; components are header fields and `@method`, `@path`, `@query`,
`@authority`, `@target-uri`, `@status`, all without parameters. What is outside is refused, never skipped: a parameter
such as `expires` that a reader ignores is worse than one it does not take.

Header mappings are case-insensitive or have lower-case names; a field sent twice is joined with `, ` as RFC 9110 says.
`target` is the request target exactly as on the request line (percent-encoded path and query), never a decoded path.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tallystick import errors, limits
from tallystick.crypto.signing import Signer, Verifier

LABEL: Final = "sig1"
CONTENT_DIGEST: Final = "content-digest"
BLANKS: Final = " \t"  # the whitespace of HTTP fields
RESPONSE_COVERED: Final = ("@status", CONTENT_DIGEST)

_TEXT: Final = r'"[ !#-\[\]-~]+"'  # an sf-string, not empty, without escapes
_PARAMETERS: Final = rf"(?:;created=[1-9][0-9]{{0,11}}|;(?:nonce|keyid|alg)={_TEXT})*"
_NAME: Final = r'"@?[a-z0-9][a-z0-9_.-]*"'
_INPUT: Final = re.compile(
    rf"(?P<label>[a-z*][a-z0-9_.*-]*)="
    rf"(?P<raw>\((?P<components>{_NAME}(?: {_NAME})*)\)(?P<parameters>{_PARAMETERS}))",
)
_PARAMETER: Final = re.compile(rf";([a-z]+)=([0-9]+|{_TEXT})")
_SIGNATURE: Final = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]+={0,2}):")
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]+")


class SignatureParams(Struct, frozen=True, kw_only=True):
    """What a message says about its signature; nothing of it is proven before `verify_request`.

    `created` is in seconds since 1970; `raw` is the value of `@signature-params`; `signature` the decoded bytes.
    """

    label: str
    components: tuple[str, ...]
    created: int
    nonce: str
    keyid: str
    alg: str | None
    raw: str
    signature: bytes


def content_digest(body: bytes) -> str:
    """Return the Content-Digest field of `body`: sha-256 (RFC 9530, 2)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def sign_request(
    key: Signer,
    *,
    keyid: str,
    method: str,
    target: str,
    body: bytes,
    headers: Mapping[str, str],
    covered: tuple[str, ...],
    created: int,
    nonce: str,
) -> dict[str, str]:
    """Sign a request; gives the headers to add: Signature-Input, Signature and, when covered, Content-Digest.

    `covered` names the components; a verifier of this module refuses a body whose `content-digest` is not among them.
    `created` is in seconds; `nonce` is fresh for every message, also for a retry.

    Raises:
        FieldInvalid: `keyid` or `nonce` holds a quote, a backslash or what is no printable ASCII.
        SignatureMissing: a covered header is not in `headers`.
    """
    derived = _request_components(method, target, headers)
    return _sign(key, keyid, covered, created, nonce, derived, headers, body)


def sign_response(key: Signer, *, keyid: str, status: int, body: bytes, created: int, nonce: str) -> dict[str, str]:
    """Sign an answer over its status and body; `nonce` is the request's, which ties the answer to it."""
    return _sign(key, keyid, RESPONSE_COVERED, created, nonce, {"@status": str(status)}, {}, body)


def parse_signature(headers: Mapping[str, str]) -> SignatureParams:
    """Read Signature-Input and Signature of a message: exactly one signature, canonical, each at most 2 kB.

    `created`, `nonce` (16 to 64 characters) and `keyid` are required, `alg` may stand, no other parameter may.
    Nothing is proven yet: use `keyid` to look up the key, then call `verify_request`.

    Raises:
        SignatureMissing: there is no signature of this form: the sender signs as docs/reference/messages.md says.
    """
    given, signed = headers.get("signature-input"), headers.get("signature")
    if given is None or signed is None or len(given) > limits.HEADER_MAX or len(signed) > limits.HEADER_MAX:
        raise errors.SignatureMissing("Signature-Input or Signature is missing or too long")
    form, value = _INPUT.fullmatch(given.strip(BLANKS)), _SIGNATURE.fullmatch(signed.strip(BLANKS))
    if form is None or value is None or form["label"] != value[1]:
        raise errors.SignatureMissing("the message does not carry exactly one signature in canonical form")
    components = tuple(name[1:-1] for name in form["components"].split(" "))
    if len(set(components)) != len(components):
        raise errors.SignatureMissing("a component is covered twice")
    parameters = _parameters(form["parameters"])
    return SignatureParams(
        label=form["label"],
        components=components,
        created=int(parameters["created"]),
        nonce=parameters["nonce"],
        keyid=parameters["keyid"],
        alg=parameters.get("alg"),
        raw=form["raw"],
        signature=_decode(value[2]),
    )


def verify_request(
    params: SignatureParams,
    key: Verifier,
    *,
    method: str,
    target: str,
    body: bytes,
    headers: Mapping[str, str],
    required: tuple[str, ...],
) -> None:
    """Verify a request's signature under the key that the platform holds for `params.keyid`.

    Checks, in this order:
      1. all of `required` are covered, and the content-digest whenever there is a body; to require nothing is refused
         [SignatureMissing]
      2. `alg`, when named, is the algorithm of this key [AlgorithmRefused]
      3. a covered Content-Digest has the sha-256 of `body` [DigestMismatch]
      4. the signature over the base made from this very message, in constant time [SignatureInvalid]

    Left to the caller: that `params.created` is fresh, that `params.nonce` is new for this sender (after this check, or
    anybody could burn nonces), and that `key` belongs to the channel that the connection proves.
    """
    _verify(params, key, _request_components(method, target, headers), headers, body, required)


def verify_response(
    key: Verifier, *, status: int, body: bytes, headers: Mapping[str, str], nonce: str
) -> SignatureParams:
    """Verify the signature of an answer.

    Checks, in this order:
      0. its nonce is that of the request it answers, so that no older answer is taken for it [SignatureInvalid]
      1. to 4. as in `verify_request`, over status and body

    On any error the outcome is unknown: inquire, never resend (see `delivery`).
    """
    # 0.
    params = parse_signature(headers)
    if params.nonce != nonce:
        raise errors.SignatureInvalid("the answer's nonce is not the request's")
    _verify(params, key, {"@status": str(status)}, headers, body, RESPONSE_COVERED)
    return params


def signature_base(
    components: tuple[str, ...], raw: str, derived: Mapping[str, str], headers: Mapping[str, str]
) -> bytes:
    """Build the bytes that are signed (RFC 9421, 2.5); `raw` is the value of `@signature-params`.

    Raises:
        SignatureMissing: a covered component is not on the message.
        SignatureInvalid: a value holds a line break, or what is no ASCII.
    """
    lines = []
    for name in components:
        value = derived.get(name) if name.startswith("@") else headers.get(name)
        if value is None:
            raise errors.SignatureMissing("a covered component is not on the message")
        lines.append(f'"{name}": {value.strip(BLANKS)}\n')
    base = f'{"".join(lines)}"@signature-params": {raw}'
    if base.count("\n") != len(lines) or "\r" in base or not base.isascii():
        raise errors.SignatureInvalid("a covered value holds what no header may hold")
    return base.encode()


def _sign(
    key: Signer,
    keyid: str,
    covered: tuple[str, ...],
    created: int,
    nonce: str,
    derived: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
) -> dict[str, str]:
    if not (_PLAIN.fullmatch(keyid) and _PLAIN.fullmatch(nonce)):
        raise errors.FieldInvalid("keyid and nonce are printable ASCII without quote and backslash")
    added = {CONTENT_DIGEST: content_digest(body)} if CONTENT_DIGEST in covered else {}
    names = " ".join(f'"{name}"' for name in covered)
    raw = f'({names});created={created};keyid="{keyid}";alg="{key.algorithm}";nonce="{nonce}"'
    signature = base64.b64encode(key.sign(signature_base(covered, raw, derived, {**headers, **added}))).decode()
    return {**added, "signature-input": f"{LABEL}={raw}", "signature": f"{LABEL}=:{signature}:"}


def _verify(
    params: SignatureParams,
    key: Verifier,
    derived: Mapping[str, str],
    headers: Mapping[str, str],
    body: bytes,
    required: tuple[str, ...],
) -> None:
    # 1.
    covered = set(params.components)
    if not required or not covered.issuperset(required) or (body and CONTENT_DIGEST not in covered):
        raise errors.SignatureMissing("the signature does not cover all that it must")
    # 2.
    if params.alg is not None and params.alg != key.algorithm:
        raise errors.AlgorithmRefused("the named algorithm is not the one registered for this key")
    # 3.
    if CONTENT_DIGEST in covered:
        _check_digest(headers.get(CONTENT_DIGEST, ""), body)
    # 4.
    key.verify(signature_base(params.components, params.raw, derived, headers), params.signature)


def _check_digest(field: str, body: bytes) -> None:
    digests = [item.strip() for item in field.split(",") if item.strip().startswith("sha-256=")]
    if digests != [content_digest(body)]:
        raise errors.DigestMismatch("Content-Digest has not the sha-256 of the body")


def _request_components(method: str, target: str, headers: Mapping[str, str]) -> dict[str, str]:
    path, _, query = target.partition("?")
    derived = {"@method": method, "@path": path or "/", "@query": f"?{query}"}
    host = headers.get("host")
    if host is not None:
        # RFC 9421, 2.2.3: lower case, without the default port; every listener speaks https
        derived["@authority"] = host.strip().lower().removesuffix(":443")
        derived["@target-uri"] = f"https://{derived['@authority']}{target}"
    return derived


def _parameters(text: str) -> dict[str, str]:
    found = _PARAMETER.findall(text)
    parameters = {name: value.strip('"') for name, value in found}
    if len(parameters) != len(found) or not parameters.keys() >= {"created", "nonce", "keyid"}:
        raise errors.SignatureMissing("the signature needs created, nonce and keyid, each once")
    if not limits.NONCE_MIN <= len(parameters["nonce"]) <= limits.NONCE_MAX:
        raise errors.SignatureMissing("the signature's nonce is too short or too long")
    return parameters


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise errors.SignatureMissing("the signature is not base64") from None
