"""Messages that somebody makes the platform send: bounded for each phone number and e-mail address."""

from tallystick.channels.limiting import count_try
from tallystick.channels.model import LimitKind
from tallystick.crypto import kdf
from tallystick.delivery.books import Books
from tallystick.path import Platform
from tallystick.runtime import Millis
from tallystick.security.ports import Purpose
from tallystick.vault.model import Contact


async def count_message(platform: Platform, books: Books, contact: Contact, now: Millis) -> None:
    """Count a code about to be sent, in the transaction that sends it; TooMany when this contact got its share.

    The bound is durable and over all senders together: nobody floods a person, nor runs up the operator's bill.
    """
    key, limit = platform.keyring.key(Purpose.BLIND_INDEX), platform.counter.limit(LimitKind.CONTACT)
    for kind, address in (("phone", contact.phone), ("email", contact.email)):
        if address is not None:
            await count_try(books, LimitKind.CONTACT, limit, kdf.digest(key, "contact", kind, address), now)
