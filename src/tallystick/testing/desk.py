"""A vault in memory: fixed keys, a clock that is set, quick passwords, and a store that breaks on demand."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from tallystick.errors import StoreFailed
from tallystick.routing.model import BackEnd, NumberPolicy, Status
from tallystick.runtime import Millis, SystemRandomness
from tallystick.secret import Secret
from tallystick.testing.keyring import MemoryKeyring
from tallystick.testing.memory_store import MemoryStore
from tallystick.testing.quick_stretcher import QuickStretcher
from tallystick.vault import keep, numbers, users
from tallystick.vault.model import AccountCredential, Contact, Credential
from tallystick.vault.ports import VaultStore

NOON: Final = Millis(1_767_268_800_000)  # 2026-01-01T12:00:00Z
PASSWORD: Final = Secret("correct horse battery")
WRONG: Final = Secret("wrong horse battery")
CONTACT: Final = Contact(phone="+4915112345678", email="payer@example.org")
ACCOUNT: Final = AccountCredential(account=Secret("example:payer"), secret=Secret("s3cret"))
BANK: Final = BackEnd(
    id="12345678",
    name="Example Bank",
    connector="account",
    status=Status.ACTIVE,
    schemes=frozenset({"example"}),
    numbers=NumberPolicy.PLATFORM,
    renew_at="04:00",
    zone="Europe/Berlin",
)


class SetClock:
    """A clock that stands still until it is set or slept on (`runtime.Clock`)."""

    def __init__(self, now: Millis = NOON) -> None:
        self.time = now

    def now(self) -> Millis:
        """Return the time that was set."""
        return self.time

    def pass_by(self, duration: int) -> None:
        """Let `duration` ms go by."""
        self.time = Millis(self.time + duration)

    async def sleep(self, seconds: float) -> None:
        """Let the time go by at once."""
        self.pass_by(int(seconds * 1000))


class BreakingStore:
    """Pass on `breaks_at` transactions; the next ones fail before they begin or, `late`, when they are durable."""

    def __init__(self, store: VaultStore, breaks_at: int, *, late: bool) -> None:
        self._store = store
        self._left = breaks_at
        self._late = late

    async def transact(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run `work`, or raise StoreFailed."""
        self._left -= 1
        if self._left < 0 and not self._late:
            raise StoreFailed("crashed before the transaction")
        result = await self._store.transact(work)
        if self._left < 0:
            raise StoreFailed("crashed after the transaction")
        return result


class VaultDesk:
    """Everything the vault's verbs take, and the verbs with it filled in."""

    def __init__(self) -> None:
        self.store: VaultStore = MemoryStore()
        self.keyring = MemoryKeyring()
        self.clock = SetClock()
        self.stretcher = QuickStretcher()
        self.randomness = SystemRandomness()

    async def register(
        self, username: str = "payer", *, password: Secret = PASSWORD, contact: Contact = CONTACT
    ) -> str:
        """Register a payer; return the user id."""
        return await users.register(
            self.store,
            self.keyring,
            self.stretcher,
            self.clock,
            self.randomness,
            username=username,
            password=password,
            contact=contact,
        )

    async def log_in(self, username: str = "payer", password: Secret = PASSWORD) -> users.Unlocked:
        """Verify a password."""
        return await users.verify(
            self.store, self.keyring, self.stretcher, self.clock, username=username, password=password
        )

    async def enrol(
        self,
        username: str = "payer",
        *,
        contact: Contact = CONTACT,
        institution: BackEnd = BANK,
        credential: Credential = ACCOUNT,
    ) -> str:
        """Register a payer with a credential for an institution; return the user id."""
        await self.register(username, contact=contact)
        owner = await self.log_in(username)
        await keep.store_credential(self.store, self.clock, owner=owner, institution=institution, credential=credential)
        return owner.user_id

    async def pick(
        self, claimed_by: str | None, *, institution: str = BANK.id, password: Secret = PASSWORD
    ) -> Credential:
        """Pick the credential of the user `payer`."""
        return await keep.pick(
            self.store,
            self.keyring,
            self.stretcher,
            self.clock,
            username="payer",
            password=password,
            institution=institution,
            claimed_by=claimed_by,
        )

    async def renew(self, back_end: BackEnd = BANK, batch: int = numbers.BATCH) -> numbers.Renewal:
        """Renew the numbers of a back end now."""
        return await numbers.renew(
            self.store, self.keyring, self.clock, self.randomness, back_end=back_end, batch=batch
        )
