"""The JSON of `/.well-known/tallystick-keys`: the payload of a compact JWS signed by the platform's identity key."""

from typing import Final, Literal

from msgspec import Struct

LIST_TYPE: Final = "tallystick-keys+jws"
IDENTITY_KID: Final = "identity"
JWE_SUITE: Final = "ECDH-ES+A256GCM"


class PublishedKey(Struct, frozen=True, kw_only=True):
    """One public part-opening key.

    `suite` is the HPKE suite's name (`crypto.hpke.Suite`), or `JWE_SUITE`. `public` is base64url of the raw public key
    for HPKE and a JWK for JWE. Senders seal for it between `not_before` and `not_after` (ms since 1970); they take the
    newest of a suite.
    """

    id: str
    format: Literal["hpke", "jwe"]
    suite: str
    public: str | dict[str, str]
    not_before: int
    not_after: int


class KeyList(Struct, frozen=True, kw_only=True):
    """The keys to seal parts for now, and the names of the split policies; `issued` in ms since 1970."""

    issued: int
    keys: tuple[PublishedKey, ...]
    policies: tuple[str, ...] = ()
