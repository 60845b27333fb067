"""A memory platform with both payer pages, asked without a socket."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tallystick import limits, payers
from tallystick.assembly.created import protect_order
from tallystick.assembly.element import code_element, new_code
from tallystick.assembly.facts import Order
from tallystick.assembly.model import Claim, Payment
from tallystick.channels.model import PageKind
from tallystick.delivery.books import Books
from tallystick.runtime import Millis, dated_id
from tallystick.sdk.pages import Answer, PageVisitor
from tallystick.sdk.requests import Request
from tallystick.security.ports import Purpose
from tallystick.testing.asgi import App, ask
from tallystick.testing.platform import BROWSER_KEY, MemoryPlatform

HOME, MOBILE = "192.0.2.7", "198.51.100.9"
ORDER = Order(payee="Tea House", amount=1250, currency="CNY", reference="Order 7")


@dataclass
class MemoryBrowser:
    """One browser: its address and the cookies it was given."""

    address: str = HOME
    cookies: dict[str, str] = field(default_factory=dict)
    told: list[Mapping[str, str]] = field(default_factory=list)

    async def ask(self, app: App, request: Request) -> Answer:
        """Send one request as a browser does."""
        headers = dict(request.headers)
        if self.cookies:
            headers["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {"client": (self.address, 50_000)}
        reply = await ask(
            app, request.method, request.target, headers=headers.items(), body=request.body or b"", scope=scope
        )
        if (given := reply.headers.get("set-cookie")) is not None:
            name, _, value = given.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.told.append(reply.headers)
        return Answer(reply.status, reply.headers, reply.body)


@dataclass
class PagePlatform:
    """The platform, its two pages, and payments to open them with."""

    world: MemoryPlatform
    apps: Mapping[PageKind, App]

    async def order(
        self, order: Order = ORDER, policy: str = "account", life_ms: int = 600_000, code: str | None = None
    ) -> Payment:
        """Create a payment, joined by `code` where one is given."""
        platform, now = self.world.platform, self.world.clock.now()
        keys = platform.keyring.readable(Purpose.BLIND_INDEX)
        element = code_element(keys, code or new_code(platform.randomness))
        payment = Payment(
            id=dated_id("pay", platform.randomness, now),
            policy=policy,
            element=element,
            claimed=True,
            opened_at=now,
            expires_at=Millis(now + min(life_ms, limits.ORDER_LIFE_MS)),
            owner="ch_shop",
            order=order,
            updated_at=now,
        )

        async def add(books: Books) -> None:
            await books.add_payment(protect_order(platform.keyring, payment))
            claim = Claim(payment_id=payment.id)
            await books.issue_claim(element, claim, valid_from=now, valid_until=payment.expires_at)

        await platform.store.transact(add)
        return payment

    async def link(self, payment: Payment, kind: PageKind) -> str:
        """Issue a link; returns its secret."""
        platform = self.world.platform
        secret = await platform.store.transact(
            lambda books: payers.issue(platform, books, payment, kind, self.world.clock.now())
        )
        return secret.reveal()

    def visitor(self, kind: PageKind, secret: str, browser: MemoryBrowser) -> PageVisitor:
        """Return a page as it is when its link was opened in a browser."""
        key = self.world.opening_keys.keys[BROWSER_KEY]
        return PageVisitor(
            secret,
            lambda request: browser.ask(self.apps[kind], request),
            lambda _: key,
            self.world.clock,
            self.world.randomness,
        )
