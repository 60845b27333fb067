"""Rows of users."""

from tallystick.adapters.store.rows.texts import Row
from tallystick.vault.model import User


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
