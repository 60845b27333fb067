"""Where browsers find the two pages, and what every handler of theirs has in common."""

from collections.abc import Awaitable, Callable

import msgspec
import segno
from starlette.requests import Request

from tallystick.channels.model import PageKind
from tallystick.security.model import Arrival
from tallystick.service.handling import Reply

Handler = Callable[[Request, Arrival], Awaitable[Reply]]


class Origins(msgspec.Struct, frozen=True, kw_only=True):
    """Where browsers find the two pages."""

    pc: str
    phone: str

    def link(self, kind: PageKind, secret: str) -> str:
        """Return a page's URL; the secret stands in the fragment, which no browser sends."""
        return f"{self.of(kind)}/#{secret}"

    def of(self, kind: PageKind) -> str:
        """Return a page's origin."""
        return self.pc if kind is PageKind.PC else self.phone


def qr_rows(text: str) -> tuple[str, ...]:
    """Return the rows of a QR code as `1` for dark and `0` for light, without the quiet zone."""
    return tuple("".join(map(str, row)) for row in segno.make_qr(text, error="m").matrix)
