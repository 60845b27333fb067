"""Users, credentials, password tries and how far their numbers are, in PostgreSQL."""

from tallystick.adapters.store.postgres.book import PostgresBook
from tallystick.adapters.store.rows.users import user_from_row
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.vault.model import Due, Numbering, StoredCredential, User


class PostgresUsers(PostgresBook):
    """Implement `vault.ports.UserBook`."""

    async def add_user(self, user: User) -> None:
        """Register a user; raises AlreadyExists when the name is taken."""
        secrets = (user.salt, user.kdf, user.verifier, user.wrapped_key, user.sealed_contact)
        if not await self._change("add_user", user.id, user.name_digest, *secrets, user.created_at):
            raise AlreadyExists("a user has this name or id")

    async def user(self, user_id: str) -> User | None:
        """Find a user by id."""
        row = await self._row("user", user_id)
        return None if row is None else user_from_row(row)

    async def user_named(self, name_digests: tuple[bytes, ...]) -> User | None:
        """Find a user by one of the keyed digests of the name."""
        row = await self._row("users_named", [*name_digests])
        return None if row is None else user_from_row(row)

    async def replace_contact(self, user_id: str, sealed_contact: bytes) -> None:
        """Replace a user's sealed contact."""
        await self._change("replace_contact", sealed_contact, user_id)

    async def count_try(self, user_id: str, now: Millis, window_ms: int) -> int:
        """Count one password try before it is checked; returns the tries since the window began, this one included."""
        row = await self._changing("count_try", user_id, now, window_ms)
        return int(row[0]) if row is not None else 0

    async def clear_tries(self, user_id: str) -> None:
        """Forget the tries of a user after a right password."""
        await self._change("clear_tries", user_id)

    async def put_credential(self, credential: StoredCredential) -> None:
        """Store or replace a user's credential for an institution."""
        who = (credential.user_id, credential.institution)
        self._put("put_credential", *who, credential.sealed, credential.created_at)
        self._put("enrol", credential.institution, credential.user_id)

    async def credential(self, user_id: str, institution: str) -> StoredCredential | None:
        """Find a user's credential for an institution."""
        row = await self._row("credential", institution, user_id)
        if row is None:
            return None
        return StoredCredential(user_id=user_id, institution=institution, sealed=row[0], created_at=row[1])

    async def due_numbers(self, institution: str, period: str, after: Due | None, limit: int) -> list[Due]:
        """List users of this institution whose last number is of an earlier period, in order, from behind `after`."""
        behind = ("", "") if after is None else (after.period, after.user_id)
        return [Due(*row) for row in await self._rows("due_numbers", institution, period, *behind, limit)]

    async def note_number(self, institution: str, user_id: str, period: str) -> bool:
        """Record that the user's number of this period was made; False when it or a later one was."""
        return await self._change("note_number", institution, user_id, period) == 1

    async def count_numbers(self, institution: str, period: str) -> Numbering:
        """Count the users of this institution with a number of this period or a later one, and those without."""
        ((made, left),) = await self._rows("count_numbers", institution, period)
        return Numbering(made=made, left=left)

    async def use_code(self, user_id: str, step: int) -> bool:
        """Use up a step of the user's authenticator app; False when it or a later one was used: steps never go back."""
        return await self._change("use_code", user_id, step) == 1
