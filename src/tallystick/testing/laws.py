"""The laws of `delivery.ports.Connector`, as the conformance suite names them when one is broken."""

from enum import StrEnum


class Law(StrEnum):
    """What every connector keeps, so that a payment is neither lost nor made twice."""

    TELLS = "an answer is what the back end decided"
    NOT_SENT_MEANS_NOTHING = "NotSent is raised only when the back end saw nothing of the request"
    DOUBT_IS_UNKNOWN = "whatever happens after the first byte and is no verified answer is OutcomeUnknown"
    NEVER_RESENDS = "a request is never sent again by the connector itself"
    ONCE = "there is at most one effective authorisation for a request"
    OWN_ANSWER = "requests under way together get each its own answer"
    GOES_ON = "one request that fails does not spoil the next one"
    CANCEL_LEAVES_NOTHING = "a delivery that is cancelled leaves no task behind"
    RETRY_IS_ONE = "with Recovery.RETRY, a request sent again has one effect and gets one decision"
    INQUIRY_FINDS = "with Recovery.INQUIRY, what took effect is found"
    INQUIRY_HAS_NO_EFFECT = "an inquiry never makes an authorisation effective"
    REVERSAL_UNDOES = "with Recovery.REVERSAL, an acknowledged reversal leaves no effect"
    REVERSAL_REPEATS = "a reversal may be repeated, with the same end"
    REVERSAL_STANDS = "after an acknowledged reversal the request has no effect, also if it arrives only then"
    ECHO_PROVES = "an echo succeeds when the back end answers, and raises DeliveryError when it does not"
    CLOSE_ENDS = "aclose ends requests under way as OutcomeUnknown and later ones as NotSent, and may be repeated"
    SAYS_NO_SECRET = "no text of an error or of the connector holds a secret of the request"  # noqa: S105  # a sentence
    STRAIGHT_ERRORS = "deliver raises DeliveryErrors only"


class LawBroken(AssertionError):
    """A connector broke a law; the text names it and what was seen."""

    def __init__(self, law: Law, seen: str) -> None:
        super().__init__(f"{law.name}: {law}; but {seen}")
        self.law = law


def require(law: Law, seen: str, *, holds: bool) -> None:
    """Raise LawBroken when a law does not hold; also under `python -O`, which takes asserts away."""
    if not holds:
        raise LawBroken(law, seen)
