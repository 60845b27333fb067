"""Did two parts truly come by different ways? A score out of facts, and the least one an amount needs.

A page proves little about itself, so payments with a page's part are judged; what several gateways send is not: each
has a certificate of its own. The score has one point each for: another kind of proof (certificate or page), another
device, another network, another moment. No point rests on anything that a message says.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from tallystick.assembly.model import PartFacts
from tallystick.assembly.policy import ORDER_FIELD
from tallystick.channels.model import Capability
from tallystick.channels.ports import CapabilityBook
from tallystick.config import IndependenceStep
from tallystick.crypto.versioned import version_of
from tallystick.errors import EnvelopeUnopenable, NotIndependent
from tallystick.runtime import Millis

MOMENT_MS: Final = 2_000  # ms between two parts that no person with two devices stays below
SCORE_MAX: Final = 4  # points


class Way(Struct, frozen=True, kw_only=True):
    """The way one part came: `device` is a certificate's or a browser's; a gateway's network is its own."""

    page: bool
    device: str
    network: bytes
    at: Millis


def needed(steps: Sequence[IndependenceStep], amount: int, currency: str) -> int:
    """Return the least score for an amount; the strictest step that applies counts."""
    applying = [step.score for step in steps if step.amount <= amount and step.currency in {None, currency}]
    return max(applying, default=0)


def score(one: Way, other: Way) -> int:
    """Return how many facts speak for two different ways: 0 to SCORE_MAX."""
    facts = (
        one.page is not other.page,
        one.device != other.device,
        _elsewhere(one.network, other.network),
        abs(one.at - other.at) >= MOMENT_MS,
    )
    return sum(facts)


async def require_independence(book: CapabilityBook, part: PartFacts, earlier: Sequence[PartFacts], least: int) -> None:
    """Raise NotIndependent when a part and an earlier one, of which one is a page's, score less than `least`.

    Rivals are not compared with each other: of them one counts at most.
    """
    others = [other for other in earlier if not (other.fields & part.fields) - {ORDER_FIELD}]
    if not least or not others:
        return
    pages = {each.device.hex(): each for each in await book.capabilities_of(part.payment_id) if each.device}
    way = _way(part, pages)
    for other in (_way(each, pages) for each in others):
        if (way.page or other.page) and score(way, other) < least:
            raise NotIndependent("this part came too much like another part of this payment")


def _elsewhere(one: bytes, other: bytes) -> bool:
    """Tell whether two networks differ; digests under different keys tell nothing, so they count as one network."""
    try:
        if version_of(one) != version_of(other):
            return False
    except EnvelopeUnopenable:
        pass  # a gateway's network is its certificate
    return one != other


def _way(part: PartFacts, pages: Mapping[str, Capability]) -> Way:
    page = pages.get(part.certificate)
    network = page.network if page is not None and page.network else part.certificate.encode()
    return Way(page=page is not None, device=part.certificate, network=network, at=part.received_at)
