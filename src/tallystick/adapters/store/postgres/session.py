"""A connection with the books that work on it."""

from tallystick.adapters.store.postgres.books import PostgresBooks
from tallystick.adapters.store.postgres.link import Link


class Session:
    """What the pool lends to one transaction at a time."""

    __slots__ = ("books", "link")

    def __init__(self, link: Link, books: PostgresBooks) -> None:
        self.link = link
        self.books = books

    @property
    def lost(self) -> bool:
        """Say whether the connection is gone."""
        return self.link.lost

    def close(self) -> None:
        """Close the connection."""
        self.link.close()
