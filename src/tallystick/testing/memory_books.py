"""The other books in memory: channels, replay, connectors, users, notices."""

from msgspec.structs import replace

from tallystick.channels.model import Channel
from tallystick.errors import AlreadyExists, NotFound, Replayed, StoreFailed
from tallystick.runtime import Millis
from tallystick.security.model import StoredAnswer
from tallystick.testing.memory_table import Journal, MemoryBook, Table
from tallystick.vault.model import Due, Medium, Notice, Numbering, StoredCredential, User


class MemoryChannels(MemoryBook):
    """Implement `channels.ports.ChannelBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._channels: Table[str, Channel] = Table(journal)

    async def channel(self, channel_id: str) -> Channel | None:
        """Find one channel."""
        return self._channels.get(channel_id)

    async def channels(self) -> list[Channel]:
        """List all channels, by name."""
        return sorted(self._channels.rows(), key=lambda channel: channel.name)

    async def add_channel(self, channel: Channel) -> None:
        """Register a channel; raises AlreadyExists when the id or the name is taken."""
        if any(channel.id == other.id or channel.name == other.name for other in self._channels.rows()):
            raise AlreadyExists("a channel has this id or name")
        self._channels.put(channel.id, channel)

    async def replace_channel(self, channel: Channel) -> None:
        """Store a changed channel; raises NotFound when it was never registered, AlreadyExists on another's name."""
        if any(channel.id != other.id and channel.name == other.name for other in self._channels.rows()):
            raise AlreadyExists("another channel has this name")
        if self._channels.get(channel.id) is None:
            raise NotFound("no channel has this id")
        self._channels.put(channel.id, channel)


class MemoryReplay(MemoryBook):
    """Implement `security.ports.ReplayBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._nonces: Table[tuple[str, str], Millis] = Table(journal)
        self._answers: Table[tuple[str, str], tuple[StoredAnswer, Millis]] = Table(journal)

    async def remember_nonce(self, sender: str, nonce: str, until: Millis) -> None:
        """Use up a nonce; raises Replayed when this sender used it before."""
        if self._nonces.get((sender, nonce)) is not None:
            raise Replayed("this nonce was used before")
        self._nonces.put((sender, nonce), until)

    async def stored_answer(self, sender: str, key: str) -> StoredAnswer | None:
        """Find the answer kept for an Idempotency-Key of this sender."""
        kept = self._answers.get((sender, key))
        return None if kept is None else kept[0]

    async def keep_answer(self, sender: str, key: str, answer: StoredAnswer, until: Millis) -> None:
        """Keep an answer until the given time; raises AlreadyExists rather than change the answer of a key."""
        if self._answers.get((sender, key)) is not None:
            raise AlreadyExists("an answer is kept for this Idempotency-Key")
        self._answers.put((sender, key), (answer, until))

    async def purge_replay(self, now: Millis, limit: int) -> int:
        """Delete at most `limit` nonces and as many answers whose time is over; returns how many rows went."""
        nonces = sorted((until, key) for key, until in self._nonces.items() if until <= now)[:limit]
        answers = sorted((until, key) for key, (_, until) in self._answers.items() if until <= now)[:limit]
        for _, key in nonces:
            self._nonces.drop(key)
        for _, key in answers:
            self._answers.drop(key)
        return len(nonces) + len(answers)


class MemoryConnectors(MemoryBook):
    """Implement `delivery.ports.ConnectorBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._settings: Table[str, bytes] = Table(journal)

    async def connector_settings(self, institution: str) -> bytes | None:
        """Return the sealed settings."""
        return self._settings.get(institution)

    async def put_connector_settings(self, institution: str, sealed: bytes) -> None:
        """Store or replace the sealed settings."""
        self._settings.put(institution, sealed)


class MemoryUsers(MemoryBook):
    """Implement `vault.ports.UserBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._users: Table[str, User] = Table(journal)
        self._tries: Table[str, tuple[Millis, int]] = Table(journal)
        self._credentials: Table[tuple[str, str], StoredCredential] = Table(journal)
        self._numbers: Table[tuple[str, str], str] = Table(journal)
        self._codes: Table[str, int] = Table(journal)

    async def add_user(self, user: User) -> None:
        """Register a user; raises AlreadyExists when the name is taken."""
        if any(user.id == other.id or user.name_digest == other.name_digest for other in self._users.rows()):
            raise AlreadyExists("a user has this name or id")
        self._users.put(user.id, user)

    async def user(self, user_id: str) -> User | None:
        """Find a user by id."""
        return self._users.get(user_id)

    async def user_named(self, name_digests: tuple[bytes, ...]) -> User | None:
        """Find a user by one of the keyed digests of the name."""
        return next((user for user in self._users.rows() if user.name_digest in name_digests), None)

    async def replace_contact(self, user_id: str, sealed_contact: bytes) -> None:
        """Replace a user's sealed contact."""
        if (user := self._users.get(user_id)) is not None:
            self._users.put(user_id, replace(user, sealed_contact=sealed_contact))

    async def count_try(self, user_id: str, now: Millis, window_ms: int) -> int:
        """Count one password try before it is checked; returns the tries since the window began, this one included."""
        began_at, tries = self._tries.get(user_id) or (now, 0)
        if began_at + window_ms <= now:
            began_at, tries = now, 0
        self._tries.put(user_id, (began_at, tries + 1))
        return tries + 1

    async def clear_tries(self, user_id: str) -> None:
        """Forget the tries of a user after a right password."""
        self._tries.drop(user_id)

    async def put_credential(self, credential: StoredCredential) -> None:
        """Store or replace a user's credential for an institution."""
        if self._users.get(credential.user_id) is None:
            raise StoreFailed("a credential needs a user")
        key = (credential.institution, credential.user_id)
        self._credentials.put(key, credential)
        if self._numbers.get(key) is None:
            self._numbers.put(key, "")

    async def credential(self, user_id: str, institution: str) -> StoredCredential | None:
        """Find a user's credential for an institution."""
        return self._credentials.get((institution, user_id))

    async def due_numbers(self, institution: str, period: str, after: Due | None, limit: int) -> list[Due]:
        """List users of this institution whose last number is of an earlier period, in order, from behind `after`."""
        behind = ("", "") if after is None else (after.period, after.user_id)
        due = sorted((last, user) for (where, user), last in self._numbers.items() if where == institution)
        return [Due(user, last) for last, user in due if last < period and (last, user) > behind][:limit]

    async def note_number(self, institution: str, user_id: str, period: str) -> bool:
        """Record that the user's number of this period was made; False when it or a later one was."""
        last = self._numbers.get((institution, user_id))
        if last is None or last >= period:
            return False
        self._numbers.put((institution, user_id), period)
        return True

    async def count_numbers(self, institution: str, period: str) -> Numbering:
        """Count the users of this institution with a number of this period or a later one, and those without."""
        made = [last >= period for (where, _), last in self._numbers.items() if where == institution]
        return Numbering(made=sum(made), left=len(made) - sum(made))

    async def use_code(self, user_id: str, step: int) -> bool:
        """Use up a step of the user's authenticator app; False when it or a later one was used: steps never go back."""
        if step <= (self._codes.get(user_id) or 0):
            return False
        self._codes.put(user_id, step)
        return True


class MemoryNotices(MemoryBook):
    """Implement `vault.ports.NoticeBook`."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self._notices: Table[str, Notice] = Table(journal)
        self._paced: Table[Medium, Millis] = Table(journal)

    async def add_notice(self, notice: Notice) -> None:
        """Add a notice; raises AlreadyExists when its id is taken."""
        if self._notices.get(notice.id) is not None:
            raise AlreadyExists("a notice has this id")
        self._notices.put(notice.id, notice)

    async def due_notices(self, medium: Medium, now: Millis, limit: int) -> list[Notice]:
        """List notices of a medium due at `now`, urgent ones first and the longest due first of each."""
        due = [notice for notice in self._notices.rows() if notice.medium is medium and notice.due_at <= now]
        return sorted(due, key=lambda notice: (not notice.urgent, notice.due_at))[:limit]

    async def hold_notices(self, notice_ids: list[str], until: Millis) -> None:
        """Let notices be due at `until`, without counting an attempt: until then nobody else sends them."""
        for notice in filter(None, map(self._notices.get, notice_ids)):
            self._notices.put(notice.id, replace(notice, due_at=until))

    async def paced_until(self, medium: Medium) -> Millis:
        """Return until when the medium's provider is booked; 0 when it never was."""
        return self._paced.get(medium) or Millis(0)

    async def book_pace(self, medium: Medium, now: Millis, length: int) -> Millis:
        """Book the medium's provider for the next free `length` ms from `now` on; return their start."""
        start = max(await self.paced_until(medium), now)
        self._paced.put(medium, Millis(start + length))
        return start

    async def delay_notice(self, notice_id: str, due_at: Millis) -> None:
        """Count a failed attempt and set the next time."""
        notice = self._notices.get(notice_id)
        if notice is not None:
            self._notices.put(notice_id, replace(notice, attempts=notice.attempts + 1, due_at=due_at))

    async def drop_notice(self, notice_id: str) -> None:
        """Delete a notice that was sent or given up."""
        self._notices.drop(notice_id)
