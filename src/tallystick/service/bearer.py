"""Who calls with an API key: the bearer of a listener that asks for no client certificate (RFC 6750)."""

from typing import Final

from tallystick.channels import access
from tallystick.channels.model import Principal, Scope
from tallystick.channels.ports import ApiKeyBook
from tallystick.delivery.books import Store
from tallystick.runtime import Clock, Millis
from tallystick.secret import Secret
from tallystick.security.access_keys import KeyringAccess
from tallystick.security.ports import Keyring

SCHEME: Final = "bearer "
NOTED_MAX: Final = 10_000  # keys whose use in this hour is known to be noted; beyond it the list starts anew


class Bearers:
    """Prove API keys, each request anew: a key that was revoked opens nothing from then on."""

    def __init__(self, store: Store[ApiKeyBook], keyring: Keyring, clock: Clock) -> None:
        self._store = store
        self._keys = KeyringAccess(keyring)
        self._clock = clock
        self._noted: dict[str, Millis] = {}

    async def principal(self, authorization: str | None, scope: Scope) -> Principal:
        """Return whom the value of an Authorization header speaks for; ApiKeyRefused, Forbidden without the scope.

        The key comes in this header only, never in an address. Left to the caller: TLS and the bound on tries.
        """
        token = bearer_token(authorization)
        now = self._clock.now()
        principal = await self._store.read(lambda books: access.authenticate(books, self._keys, token, now))
        access.require(principal, scope)
        await self._note(principal, now)
        return principal

    async def _note(self, principal: Principal, now: Millis) -> None:
        noted = self._noted.get(principal.key_id)
        if noted is not None and 0 <= now - noted < access.USE_GRAIN_MS:
            return
        await self._store.transact(lambda books: access.note_use(books, principal.key_id, now))
        if len(self._noted) >= NOTED_MAX:
            self._noted.clear()
        self._noted[principal.key_id] = now


def bearer_token(authorization: str | None) -> Secret:
    """Return the key in the value of an Authorization header; an empty one where there is none."""
    given = authorization or ""
    return Secret(given[len(SCHEME) :].strip() if given[: len(SCHEME)].lower() == SCHEME else "")
