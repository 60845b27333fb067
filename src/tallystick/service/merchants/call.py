"""One request of a merchant, read and checked, and what is answered."""

import re
from collections.abc import AsyncGenerator
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request

from tallystick import limits
from tallystick.channels.merchants import owner_of
from tallystick.channels.model import Principal
from tallystick.errors import FieldInvalid, Malformed, WrongMediaType
from tallystick.runtime import Millis
from tallystick.secret import Secret
from tallystick.security.unseal import MEDIA_TYPE, content_decoder, read_content
from tallystick.security.verify import IDEMPOTENCY_HEADER
from tallystick.service.merchants.operations import Operation
from tallystick.wire.merchant import API_VERSION, VERSION_HEADER

_PLACE: Final = re.compile(r"`\$\.([A-Za-z0-9_.]+)")  # where msgspec says that something is wrong
_KEY: Final = re.compile(rf"[!-~]{{1,{limits.IDEMPOTENCY_KEY_MAX}}}")
_NUMBER: Final = re.compile(r"[0-9]{1,16}")
_T = TypeVar("_T")


class Call(Struct, kw_only=True):
    """A request whose sender is proven: `key` is its Idempotency-Key, empty for a GET."""

    request: Request
    operation: Operation
    principal: Principal
    token: Secret
    target: str
    body: bytes
    key: str
    at: Millis

    @property
    def owner(self) -> str:
        """Return the name under which the caller's payments stand."""
        return owner_of(self.principal)

    @property
    def id(self) -> str:
        """Return the id that the address names."""
        return str(self.request.path_params["id"])

    def content(self, kind: type[_T]) -> _T:
        """Read the body; raises WrongMediaType, Malformed, FieldInvalid naming the member and never its value."""
        if self.request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            raise WrongMediaType(f"this address takes {MEDIA_TYPE}")
        try:
            return read_content(self.body, content_decoder(kind))
        except Malformed as error:
            place = _PLACE.search(error.detail)
            if place is None:
                raise
            raise FieldInvalid(error.detail, field=place[1]) from None

    def text(self, name: str) -> str | None:
        """Return a parameter of the address, if it is there."""
        return self.request.query_params.get(name)

    def number(self, name: str) -> int | None:
        """Return a parameter that is a whole number; raises FieldInvalid."""
        text = self.text(name)
        if text is None:
            return None
        if not _NUMBER.fullmatch(text):
            raise FieldInvalid(f"{name} is a whole number", field=name)
        return int(text)


class Answer(Struct, frozen=True):
    """A body, or a stream of events; `again` says that it is the answer given before."""

    body: bytes
    again: bool = False
    stream: AsyncGenerator[bytes, None] | None = None


def check_version(request: Request) -> None:
    """Refuse a caller that was written for another version of this API; raises FieldInvalid."""
    asked = request.headers.get(VERSION_HEADER)
    if asked not in {None, API_VERSION}:
        raise FieldInvalid(f"this platform speaks version {API_VERSION}", field=VERSION_HEADER)


def check_query(request: Request, operation: Operation) -> None:
    """Refuse parameters that the operation does not have, or has once; raises FieldInvalid."""
    known = {query.name for query in operation.query}
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known or name in seen:
            raise FieldInvalid("an unknown parameter, or one that is there twice", field="query")
        seen.add(name)


def idempotency_key(request: Request) -> str:
    """Return the Idempotency-Key of a POST; raises FieldInvalid when it is missing, twice, or of another form."""
    given = request.headers.getlist(IDEMPOTENCY_HEADER)
    if len(given) != 1 or not _KEY.fullmatch(given[0]):
        raise FieldInvalid(
            f"every POST carries one Idempotency-Key of 1 to {limits.IDEMPOTENCY_KEY_MAX} ASCII characters",
            field=IDEMPOTENCY_HEADER,
        )
    return given[0]


def encode(document: Struct) -> bytes:
    """Write an answer."""
    return msgspec.json.encode(document)
