"""Operators: the persons who run the platform's commands, each with a key of their own.

A platform begins without any: then the operating system's user is believed, as whoever may read the data directory can
do anything with it. From the first operator on, every command wants a proven one, for good: when the
keys of all are over, no command changes anything.
"""

from collections.abc import Collection
from typing import Final

from tallystick.channels import access
from tallystick.channels.model import ApiKey, Principal, Role, Scope
from tallystick.channels.ports import AccessKeys, ApiKeyBook
from tallystick.errors import ApiKeyRefused, Conflict, Forbidden, NotFound
from tallystick.runtime import Millis
from tallystick.secret import Secret

STAFF: Final = (Role.OPERATOR, Role.APPROVER, Role.AUDITOR)

READ: Final = frozenset({Scope.READ})
CHANGE: Final = frozenset({Scope.ADMIN})
APPROVE: Final = frozenset({Scope.APPROVE})
DECIDE: Final = CHANGE | APPROVE
"""To turn a proposal down: its author may take it back, an approver may refuse it."""


async def registered(book: ApiKeyBook) -> list[ApiKey]:
    """List the keys of all operators there ever were, oldest first."""
    return [key for key in await book.api_keys() if key.role in STAFF]


async def prove(
    book: ApiKeyBook,
    keys: AccessKeys,
    token: Secret | None,
    now: Millis,
    *,
    claim: str | None,
    needs: Collection[Scope],
) -> Principal | None:
    """Return the operator who runs a command, or None on a platform that never had an operator.

    1. The key is one that opens something: ApiKeyRefused; so is a missing one.
    2. It is an operator's, not a merchant's: ApiKeyRefused, the same.
    3. Its holder is the one the caller claims to be, if any: Forbidden. A name is never believed, only refused.
    4. It has one of the scopes that the command needs: Forbidden.
    """
    if not await registered(book):
        return None
    # 1.
    principal = await access.authenticate(book, keys, token or Secret(""), now)
    # 2.
    if principal.role not in STAFF:
        raise ApiKeyRefused("this is a merchant's key, not an operator's")
    # 3.
    if claim is not None and claim != principal.holder:
        raise Forbidden("this key is another operator's than the one you named")
    # 4.
    if principal.scopes.isdisjoint(needs):
        raise Forbidden(f"the role {principal.role.value} does not run this command")
    return principal


async def suspend(book: ApiKeyBook, keys: AccessKeys, person: str, now: Millis) -> list[ApiKey]:
    """Make all keys of a person useless for good, in every role.

    Raises NotFound for a person without any, Conflict when nobody would be left who may change things, or approve.
    """
    everybody = await registered(book)
    theirs = [key for key in everybody if key.holder == person]
    if not theirs:
        raise NotFound("no operator has this name")
    for role in (Role.OPERATOR, Role.APPROVER):
        current = {key.holder for key in everybody if key.role is role and access.is_current(key, now)}
        if current == {person}:
            raise Conflict(f"this is the last person with the role {role.value}: register another one first")
    return [await access.revoke(book, keys, key.id, now) for key in theirs]


async def had_approver(book: ApiKeyBook) -> bool:
    """Tell whether there ever was somebody who could approve: from then on nobody registers operators alone."""
    return any(key.role is Role.APPROVER for key in await registered(book))
