"""What the merchants' API offers, as data: the listener's routes and its OpenAPI document are both made of this."""

from typing import Final

from msgspec import Struct

from tallystick.assembly.facts import PaymentState
from tallystick.channels.model import Scope
from tallystick.limits import PAGE_MAX
from tallystick.wire import merchant as wire
from tallystick.wire.part import PartReceipt, SealedMessage
from tallystick.wire.payment import NewPayment

PAYMENT: Final = wire.PAYMENTS + "/{id}"


class Query(Struct, frozen=True, kw_only=True):
    """One parameter of an address: what it means and its JSON schema."""

    name: str
    meaning: str
    schema: dict[str, object]


class Operation(Struct, frozen=True, kw_only=True):
    """One thing to ask: `content` is the body's type, `answer` the type of a success, or of each event of a stream.

    `scope` is what the caller's key needs. `test_only`: for keys of test mode.
    """

    name: str
    method: str
    path: str
    summary: str
    scope: Scope
    status: int = 200
    answer: type[Struct]
    content: type[Struct] | None = None
    query: tuple[Query, ...] = ()
    stream: bool = False
    test_only: bool = False


AFTER: Final = Query(
    name="after",
    meaning="the seq of the last event seen; the header Last-Event-ID says the same",
    schema={"type": "integer", "minimum": 0, "maximum": 2**53},
)
MOMENT: Final[dict[str, object]] = {"type": "integer", "minimum": 0, "maximum": 2**53}
LIST_QUERY: Final = (
    Query(name="limit", meaning="payments of one page", schema={"type": "integer", "minimum": 1, "maximum": PAGE_MAX}),
    Query(name="cursor", meaning="next_cursor of the page before", schema={"type": "string", "maxLength": 32}),
    Query(name="state", meaning="in this state only", schema={"enum": [state.value for state in PaymentState]}),
    Query(name="created_from", meaning="created at this time or later, in ms", schema=MOMENT),
    Query(name="created_before", meaning="created before this time, in ms", schema=MOMENT),
)

OPERATIONS: Final = (
    Operation(
        name="createPayment",
        method="POST",
        path=wire.PAYMENTS,
        summary="Create a payment.",
        scope=Scope.ORDER,
        status=201,
        content=NewPayment,
        answer=wire.MerchantPaymentCreated,
    ),
    Operation(
        name="listPayments",
        method="GET",
        path=wire.PAYMENTS,
        summary="List your payments, newest first.",
        scope=Scope.READ,
        query=LIST_QUERY,
        answer=wire.PaymentList,
    ),
    Operation(
        name="getPayment",
        method="GET",
        path=PAYMENT,
        summary="Read one of your payments.",
        scope=Scope.READ,
        answer=wire.MerchantPayment,
    ),
    Operation(
        name="sendPart",
        method="POST",
        path=PAYMENT + "/parts",
        summary="Supply your own half of a payment, sealed and signed (docs/reference/merchants.md).",
        scope=Scope.ORDER,
        status=202,
        content=SealedMessage,
        answer=PartReceipt,
    ),
    Operation(
        name="cancelPayment",
        method="POST",
        path=PAYMENT + "/cancel",
        summary="Cancel a payment before it is joined.",
        scope=Scope.ORDER,
        content=wire.Empty,
        answer=wire.MerchantPayment,
    ),
    Operation(
        name="refundPayment",
        method="POST",
        path=PAYMENT + "/refunds",
        summary="Record a refund, bound to the receipt of the part that pays.",
        scope=Scope.REFUND,
        status=201,
        content=wire.NewRefund,
        answer=wire.MerchantRefund,
    ),
    Operation(
        name="listRefunds",
        method="GET",
        path=PAYMENT + "/refunds",
        summary="List the refunds of a payment.",
        scope=Scope.READ,
        answer=wire.RefundList,
    ),
    Operation(
        name="testPay",
        method="POST",
        path=wire.TEST + "/pay",
        summary="Let the platform play one or both halves of a payment of test mode.",
        scope=Scope.ORDER,
        content=wire.TestPay,
        answer=wire.MerchantPayment,
        test_only=True,
    ),
    Operation(
        name="testAdvance",
        method="POST",
        path=wire.TEST + "/advance",
        summary="Let time go by for a payment of test mode.",
        scope=Scope.ORDER,
        content=wire.TestAdvance,
        answer=wire.MerchantPayment,
        test_only=True,
    ),
    Operation(
        name="followPayment",
        method="GET",
        path=PAYMENT + "/events",
        summary="Follow the events of one payment as server-sent events, until its final one.",
        scope=Scope.READ,
        query=(AFTER,),
        answer=wire.MerchantEvent,
        stream=True,
    ),
    Operation(
        name="followEvents",
        method="GET",
        path=wire.EVENTS,
        summary="Follow the events of all your payments as server-sent events; the log goes back one day.",
        scope=Scope.READ,
        query=(AFTER,),
        answer=wire.MerchantEvent,
        stream=True,
    ),
)
