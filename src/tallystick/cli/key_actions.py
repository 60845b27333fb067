"""What of `tallystick keys` needs another person where `four_eyes.keys` is on: rotation and destruction."""

from typing import Final

from tallystick.bootstrap.office import Office
from tallystick.channels.model import ProposalKind
from tallystick.cli import key_desk
from tallystick.cli.acting import Action, DeskBooks, Subject
from tallystick.security.ports import KeyState, Purpose


async def _active(desk: Office, _books: DeskBooks, subject: Subject) -> str:
    """Say which key of the purpose is active."""
    of = Purpose(subject["purpose"])
    return ", ".join(each.name for each in desk.keyring.entries if each.purpose is of and each.state is KeyState.ACTIVE)


async def _state(desk: Office, _books: DeskBooks, subject: Subject) -> str:
    """Say where the key is in its life."""
    place = Purpose(subject["purpose"]), int(subject["version"])
    return ", ".join(each.state.value for each in desk.keyring.entries if (each.purpose, each.version) == place)


async def _nothing(_desk: Office, _books: DeskBooks, _subject: Subject) -> None:
    """Leave the store as it is: keys are files."""


async def _rotate(desk: Office, subject: Subject) -> None:
    await key_desk.rotate(desk, Purpose(subject["purpose"]))


async def _destroy(desk: Office, subject: Subject) -> None:
    await key_desk.destroy(desk, Purpose(subject["purpose"]), int(subject["version"]))


ROTATE: Final = Action(kind=ProposalKind.KEYS, name="rotate", base=_active, apply=_nothing, after=_rotate)
DESTROY: Final = Action(kind=ProposalKind.KEYS, name="destroy", base=_state, apply=_nothing, after=_destroy)

ACTIONS: Final = (ROTATE, DESTROY)
