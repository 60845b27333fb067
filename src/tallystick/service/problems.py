"""Turn errors into RFC 9457 problem documents: the one place that knows HTTP status codes."""

import logging
from typing import Final

import msgspec
from msgspec import Struct

from tallystick import errors
from tallystick.runtime import Randomness, new_id

MEDIA_TYPE: Final = "application/problem+json"
UNAVAILABLE_WAIT_S: Final = "1"  # s a sender is asked to wait after 503

_log = logging.getLogger(__name__)

_STATUS: Final = (
    (errors.MethodRefused, 405),
    (errors.TooLarge, 413),
    (errors.WrongMediaType, 415),
    (errors.NotAuthentic, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.Unprocessable, 422),
    (errors.TooMany, 429),
    (errors.Unavailable, 503),
    (errors.StoreFailed, 503),
    (errors.Refused, 400),
)


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document; `code` is stable, `remedy` says what to do, `field` names what is wrong."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    remedy: str
    request_id: str
    field: str | None = None


def problem(error: Exception, request_id: str) -> Problem:
    """Describe an error to the caller; what is not a refusal of ours says nothing about its cause."""
    if isinstance(error, errors.StoreFailed):
        error = errors.StoreFailed("the store could not do this now")
    elif not isinstance(error, errors.Refused):
        error = errors.TallystickError("the platform failed; nothing more is told here")
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return Problem(
        type=f"urn:tallystick:problem:{error.code}",
        title=error.code.replace("_", " "),
        status=status,
        code=error.code,
        detail=error.detail,
        remedy=error.remedy,
        request_id=request_id,
        field=error.field,
    )


def retry_after(error: Exception) -> dict[str, str]:
    """Return the header that says how long to wait, in seconds rounded up, where that is known (RFC 9110 10.2.3)."""
    if isinstance(error, errors.TooMany) and error.wait_ms:
        return {"retry-after": str(-(-error.wait_ms // 1000))}
    if isinstance(error, errors.Unavailable | errors.StoreFailed):
        return {"retry-after": UNAVAILABLE_WAIT_S}
    return {}


def failure(error: Exception, randomness: Randomness) -> Problem:
    """Describe whatever a request ended with, under a fresh request id; what is not a refusal is logged under it."""
    request_id = new_id("req", randomness)
    if isinstance(error, errors.StoreFailed):
        _log.error("request %s failed: %s: %s", request_id, error.code, error.detail)
    elif not isinstance(error, errors.Refused):
        what = error.code if isinstance(error, errors.TallystickError) else type(error).__name__
        _log.error("request %s failed: %s", request_id, what)
    return problem(error, request_id)


def encode(document: Problem) -> bytes:
    """Encode a problem as JSON."""
    return msgspec.json.encode(document)
