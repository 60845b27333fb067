"""Users, credentials, password tries and notices in SQLite."""

# ruff: noqa: S608  # every text is built from constants of this module

from tallystick.adapters.store.rows.notices import notice_from_row
from tallystick.adapters.store.rows.texts import Row
from tallystick.adapters.store.rows.users import user_from_row
from tallystick.adapters.store.sqlite_book import SqliteBook
from tallystick.errors import AlreadyExists
from tallystick.runtime import Millis
from tallystick.vault.model import Due, Medium, Notice, Numbering, StoredCredential, User

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
ENROL = "INSERT INTO numbered (institution, user_id, period) VALUES (?, ?, '') ON CONFLICT DO NOTHING"
DUE_NUMBERS = """
    SELECT user_id, period FROM numbered WHERE institution = ?1 AND period < ?2 AND (period, user_id) > (?3, ?4)
    ORDER BY period, user_id LIMIT ?5
"""
NOTE_NUMBER = "UPDATE numbered SET period = ?3 WHERE institution = ?1 AND user_id = ?2 AND period < ?3"
COUNT_NUMBERS = """
    SELECT (SELECT COUNT(*) FROM numbered WHERE institution = ?1 AND period >= ?2),
           (SELECT COUNT(*) FROM numbered WHERE institution = ?1 AND period < ?2)
"""
USE_CODE = """
    INSERT INTO code_used (user_id, step) VALUES (?1, ?2)
    ON CONFLICT (user_id) DO UPDATE SET step = excluded.step WHERE step < excluded.step
"""
NOTICE_COLUMNS = "id, medium, sealed, created_at, due_at, attempts, urgent"
ADD_NOTICE = f"INSERT INTO notice ({NOTICE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
DUE_NOTICES = f"""
    SELECT {NOTICE_COLUMNS} FROM notice WHERE medium = ? AND urgent = ? AND due_at <= ? ORDER BY due_at, seq LIMIT ?
"""
HOLD_NOTICE = "UPDATE notice SET due_at = ? WHERE id = ?"
PACED_UNTIL = "SELECT until FROM notice_pace WHERE medium = ?"
BOOK_PACE = """
    INSERT INTO notice_pace (medium, until) VALUES (?1, ?2 + ?3)
    ON CONFLICT (medium) DO UPDATE SET until = MAX(until, ?2) + ?3
    RETURNING until - ?3
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
        self._db.execute(ENROL, (credential.institution, credential.user_id))

    async def credential(self, user_id: str, institution: str) -> StoredCredential | None:
        """Find a user's credential for an institution."""
        row = self._db.execute(FIND_CREDENTIAL, (institution, user_id)).fetchone()
        if row is None:
            return None
        return StoredCredential(user_id=user_id, institution=institution, sealed=row[0], created_at=row[1])

    async def due_numbers(self, institution: str, period: str, after: Due | None, limit: int) -> list[Due]:
        """List users of this institution whose last number is of an earlier period, in order, from behind `after`."""
        behind = ("", "") if after is None else (after.period, after.user_id)
        return [Due(*row) for row in self._db.execute(DUE_NUMBERS, (institution, period, *behind, limit))]

    async def note_number(self, institution: str, user_id: str, period: str) -> bool:
        """Record that the user's number of this period was made; False when it or a later one was."""
        return self._db.execute(NOTE_NUMBER, (institution, user_id, period)).rowcount == 1

    async def count_numbers(self, institution: str, period: str) -> Numbering:
        """Count the users of this institution with a number of this period or a later one, and those without."""
        made, left = self._db.execute(COUNT_NUMBERS, (institution, period)).fetchone()
        return Numbering(made=made, left=left)

    async def use_code(self, user_id: str, step: int) -> bool:
        """Use up a step of the user's authenticator app; False when it or a later one was used: steps never go back."""
        return self._db.execute(USE_CODE, (user_id, step)).rowcount == 1


class SqliteNotices(SqliteBook):
    """Implement `vault.ports.NoticeBook`."""

    async def add_notice(self, notice: Notice) -> None:
        """Add a notice; raises AlreadyExists when its id is taken."""
        times = (notice.created_at, notice.due_at, notice.attempts, notice.urgent)
        if not self._db.execute(ADD_NOTICE, (notice.id, notice.medium.value, notice.sealed, *times)).rowcount:
            raise AlreadyExists("a notice has this id")

    async def due_notices(self, medium: Medium, now: Millis, limit: int) -> list[Notice]:
        """List notices of a medium due at `now`, urgent ones first and the longest due first of each."""
        rows: list[Row] = []
        for urgent in (True, False):
            rows += self._db.execute(DUE_NOTICES, (medium.value, urgent, now, limit - len(rows)))
        return [notice_from_row(row) for row in rows]

    async def hold_notices(self, notice_ids: list[str], until: Millis) -> None:
        """Let notices be due at `until`, without counting an attempt: until then nobody else sends them."""
        self._db.executemany(HOLD_NOTICE, [(until, notice_id) for notice_id in notice_ids])

    async def paced_until(self, medium: Medium) -> Millis:
        """Return until when the medium's provider is booked; 0 when it never was."""
        row = self._db.execute(PACED_UNTIL, (medium.value,)).fetchone()
        return Millis(0 if row is None else row[0])

    async def book_pace(self, medium: Medium, now: Millis, length: int) -> Millis:
        """Book the medium's provider for the next free `length` ms from `now` on; return their start."""
        start: int = self._db.execute(BOOK_PACE, (medium.value, now, length)).fetchone()[0]
        return Millis(start)

    async def delay_notice(self, notice_id: str, due_at: Millis) -> None:
        """Count a failed attempt and set the next time."""
        self._db.execute(DELAY_NOTICE, (due_at, notice_id))

    async def drop_notice(self, notice_id: str) -> None:
        """Delete a notice that was sent or given up."""
        self._db.execute(DROP_NOTICE, (notice_id,))
