"""Users, credentials, password tries and notices in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.sqlite_book import Row, SqliteBook
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.vault.model import Medium, Notice, StoredCredential, User

NUMBER_PERIODS_KEPT = 2  # periods remembered per user and institution: the present one and the one before

USER_COLUMNS = "id, name_digest, salt, kdf, verifier, wrapped_key, sealed_contact, created_at"
ADD_USER = f"INSERT INTO payer ({USER_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND_USER = f"SELECT {USER_COLUMNS} FROM payer WHERE id = ?"
FIND_NAMED = f"SELECT {USER_COLUMNS} FROM payer WHERE name_digest = ?"
REPLACE_CONTACT = "UPDATE payer SET sealed_contact = ? WHERE id = ?"
COUNT_TRY = """
    INSERT INTO password_try (user_id, began_at, tries) VALUES (?1, ?2, 1)
    ON CONFLICT (user_id) DO UPDATE SET
      tries = CASE WHEN began_at + ?3 <= ?2 THEN 1 ELSE tries + 1 END,
      began_at = CASE WHEN began_at + ?3 <= ?2 THEN ?2 ELSE began_at END
    RETURNING tries
"""
CLEAR_TRIES = "DELETE FROM password_try WHERE user_id = ?"
PUT_CREDENTIAL = """
    INSERT INTO credential (user_id, institution, sealed, created_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (institution, user_id) DO UPDATE SET sealed = excluded.sealed, created_at = excluded.created_at
"""
FIND_CREDENTIAL = "SELECT sealed, created_at FROM credential WHERE institution = ? AND user_id = ?"
WITHOUT_NUMBER = """
    SELECT user_id FROM credential AS c WHERE institution = ?1 AND NOT EXISTS (
      SELECT 1 FROM number_made AS m WHERE m.institution = ?1 AND m.user_id = c.user_id AND m.period = ?2
    )
    ORDER BY user_id LIMIT ?3
"""
NOTE_NUMBER = "INSERT INTO number_made (institution, user_id, period) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
FORGET_PERIODS = """
    DELETE FROM number_made WHERE seq IN (
      SELECT seq FROM number_made WHERE institution = ? AND user_id = ? ORDER BY seq DESC LIMIT -1 OFFSET ?
    )
"""
NOTICE_COLUMNS = "id, medium, sealed, created_at, due_at, attempts"
ADD_NOTICE = f"INSERT INTO notice ({NOTICE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
DUE_NOTICES = f"""
    SELECT {NOTICE_COLUMNS} FROM notice WHERE due_at <= ? ORDER BY due_at, seq LIMIT ?
"""
DELAY_NOTICE = "UPDATE notice SET attempts = attempts + 1, due_at = ? WHERE id = ?"
DROP_NOTICE = "DELETE FROM notice WHERE id = ?"


class SqliteUsers(SqliteBook):
    """Implement `vault.ports.UserBook`."""

    async def add_user(self, user: User) -> None:
        """Register a user; raises AlreadyExists when the name is taken."""
        secrets = (user.salt, user.kdf, user.verifier, user.wrapped_key, user.sealed_contact)
        if not self._db.execute(ADD_USER, (user.id, user.name_digest, *secrets, user.created_at)).rowcount:
            raise AlreadyExists("a user has this name or id")

    async def user(self, user_id: str) -> User | None:
        """Find a user by id."""
        row = self._db.execute(FIND_USER, (user_id,)).fetchone()
        return None if row is None else user_from_row(row)

    async def user_named(self, name_digests: tuple[bytes, ...]) -> User | None:
        """Find a user by one of the keyed digests of the name."""
        row = next(filter(None, (self._db.execute(FIND_NAMED, (each,)).fetchone() for each in name_digests)), None)
        return None if row is None else user_from_row(row)

    async def replace_contact(self, user_id: str, sealed_contact: bytes) -> None:
        """Replace a user's sealed contact."""
        self._db.execute(REPLACE_CONTACT, (sealed_contact, user_id))

    async def count_try(self, user_id: str, now: Millis, window_ms: int) -> int:
        """Count one password try before it is checked; returns the tries since the window began, this one included."""
        tries: int = self._db.execute(COUNT_TRY, (user_id, now, window_ms)).fetchone()[0]
        return tries

    async def clear_tries(self, user_id: str) -> None:
        """Forget the tries of a user after a right password."""
        self._db.execute(CLEAR_TRIES, (user_id,))

    async def put_credential(self, credential: StoredCredential) -> None:
        """Store or replace a user's credential for an institution."""
        row = (credential.user_id, credential.institution, credential.sealed, credential.created_at)
        self._db.execute(PUT_CREDENTIAL, row)

    async def credential(self, user_id: str, institution: str) -> StoredCredential | None:
        """Find a user's credential for an institution."""
        row = self._db.execute(FIND_CREDENTIAL, (institution, user_id)).fetchone()
        if row is None:
            return None
        return StoredCredential(user_id=user_id, institution=institution, sealed=row[0], created_at=row[1])

    async def enrolled_without_number(self, institution: str, period: str, limit: int) -> list[str]:
        """List user ids with a credential at this institution and no number of this period yet."""
        return [user_id for (user_id,) in self._db.execute(WITHOUT_NUMBER, (institution, period, limit))]

    async def note_number(self, institution: str, user_id: str, period: str) -> bool:
        """Record that the user's number of this period was made; False when it was already recorded.

        Periods older than the last `NUMBER_PERIODS_KEPT` of a user are forgotten, so that the table stays flat.
        """
        noted = self._db.execute(NOTE_NUMBER, (institution, user_id, period)).rowcount == 1
        if noted:
            self._db.execute(FORGET_PERIODS, (institution, user_id, NUMBER_PERIODS_KEPT))
        return noted


class SqliteNotices(SqliteBook):
    """Implement `vault.ports.NoticeBook`."""

    async def add_notice(self, notice: Notice) -> None:
        """Add a notice; raises AlreadyExists when its id is taken."""
        times = (notice.created_at, notice.due_at, notice.attempts)
        if not self._db.execute(ADD_NOTICE, (notice.id, notice.medium.value, notice.sealed, *times)).rowcount:
            raise AlreadyExists("a notice has this id")

    async def due_notices(self, now: Millis, limit: int) -> list[Notice]:
        """List notices due at `now`, longest due first."""
        return [notice_from_row(row) for row in self._db.execute(DUE_NOTICES, (now, limit))]

    async def delay_notice(self, notice_id: str, due_at: Millis) -> None:
        """Count a failed attempt and set the next time."""
        self._db.execute(DELAY_NOTICE, (due_at, notice_id))

    async def drop_notice(self, notice_id: str) -> None:
        """Delete a notice that was sent or given up."""
        self._db.execute(DROP_NOTICE, (notice_id,))


def user_from_row(row: Row) -> User:
    """Read a user back."""
    id_, name_digest, salt, kdf, verifier, wrapped_key, sealed_contact, created_at = row
    return User(
        id=id_,
        name_digest=name_digest,
        salt=salt,
        kdf=kdf,
        verifier=verifier,
        wrapped_key=wrapped_key,
        sealed_contact=sealed_contact,
        created_at=created_at,
    )


def notice_from_row(row: Row) -> Notice:
    """Read a notice back."""
    id_, medium, sealed, created_at, due_at, attempts = row
    return Notice(id=id_, medium=Medium(medium), sealed=sealed, created_at=created_at, due_at=due_at, attempts=attempts)
