"""What a client of the platform may meet.

    TallystickError
    ├── PlatformProblem        the platform answered with a problem document: act on `code`, show `remedy`
    ├── PlatformUnreachable    no answer came: it may have been accepted; repeat with the same Idempotency-Key
    ├── AnswerNotProven        an answer or key list is not signed by the platform: believe nothing in it
    ├── AnswerUnreadable       a proven answer is not of the shape docs/reference/messages.md gives
    └── NoUsableKey            the platform publishes no valid opening key of the suite this client seals with

A profile that cannot be used raises Misconfigured, content that no platform would take a Refused (`tallystick.errors`).
"""

from tallystick.errors import TallystickError


class PlatformProblem(TallystickError):
    """The platform refused, in a problem document (RFC 9457).

    `code` is stable (docs/reference/messages.md lists them). `proven` says whether the document was signed: problems
    that arise before the platform knows the sender (401, 403) are not, and then are a hint only. `retry_after` is in
    seconds, from the header of that name.
    """

    def __init__(
        self,
        *,
        code: str,
        status: int,
        detail: str,
        remedy: str,
        field: str | None = None,
        request_id: str = "",
        proven: bool = False,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail, field=field)
        self.code = code  # type: ignore[misc]  # the platform's word about the request, not this class's own
        self.remedy = remedy  # type: ignore[misc]  # as code
        self.status = status
        self.request_id = request_id
        self.proven = proven
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail} {self.remedy}".rstrip()


class PlatformUnreachable(TallystickError):
    """No answer came within the time and attempts allowed; a message may have been accepted all the same."""

    code = "platform_unreachable"
    remedy = "Check the network, then repeat the call with the same idempotency_key and content."


class AnswerNotProven(TallystickError):
    """An answer or a key list does not carry the platform's signature."""

    code = "answer_not_proven"
    remedy = "Check the profile's identity key and MAC key; read the state again before acting."


class AnswerUnreadable(TallystickError):
    """An answer is not of the documented shape, or longer than any answer is."""

    code = "answer_unreadable"
    remedy = "Check that client and platform are of the same version."


class NoUsableKey(TallystickError):
    """No published key of the wanted suite is valid now."""

    code = "no_usable_key"
    remedy = "Set this machine's clock by NTP; check the profile's suite against /.well-known/tallystick-keys."
