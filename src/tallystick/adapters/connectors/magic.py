"""The connector of test mode: no network and no money, an outcome by magic values (docs/reference/merchants.md)."""

from typing import Final, Literal

import msgspec
from msgspec import Struct

from tallystick.delivery.model import (
    Answer,
    Finding,
    Instruction,
    Known,
    MessageIds,
    Original,
    Recovery,
    Verdict,
)
from tallystick.errors import Misconfigured, NotSent, OutcomeUnknown
from tallystick.vault.model import CardCredential, Credential

KIND: Final = "test"
SCHEME: Final = "test"
"""The account scheme that goes here; cards go by their own."""

APPROVE, DECLINE, UNKNOWN, AWAY = "approve", "decline", "unknown", "away"
CARDS: Final = {
    "4242424242424242": APPROVE,
    "6212142600000000043": APPROVE,
    "4000000000000002": DECLINE,
    "4000000000000119": UNKNOWN,
    "4000000000000127": AWAY,
}
"""Card numbers that are no accounts, and what becomes of them; others are approved."""

WRONG_PIN: Final = "140000"
"""How a format 1 PIN block of the PIN 0000 begins (ISO 9564-1)."""

WRONG_SECRET: Final = "0000"  # noqa: S105 - a magic value, not a secret


class MagicSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to set; that it is a test is said aloud."""

    mode: Literal["test"]


def decode_settings(settings: bytes) -> MagicSettings:
    """Read the settings; raises Misconfigured for anything but `{"mode": "test"}`."""
    try:
        return msgspec.json.decode(settings, type=MagicSettings)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Misconfigured("the connector of test mode is set by mode = test and nothing else") from None


class MagicConnector:
    """Answer as the credential's magic value says (`delivery.ports.Connector`); nothing leaves the process."""

    recovery = frozenset({Recovery.INQUIRY})
    keeps_account = False

    async def deliver(self, instruction: Instruction) -> Answer:
        """Approve, decline with 51 (no funds) or 55 (wrong PIN), or raise OutcomeUnknown or NotSent."""
        wanted = outcome_of(instruction.credential)
        if wanted == AWAY:
            raise NotSent("this magic value stands for a back end that is away")
        if wanted == UNKNOWN:
            raise OutcomeUnknown("this magic value stands for an answer that never comes")
        if _is_wrong(instruction.credential):
            return Answer(verdict=Verdict.DECLINED, code="55")
        if wanted == DECLINE:
            return Answer(verdict=Verdict.DECLINED, code="51")
        return Answer(verdict=Verdict.APPROVED, code="00", approval="TEST00")

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:  # noqa: ARG002 - the port passes both
        """Tell that the request in doubt was approved."""
        return Finding(known=Known.APPROVED, code="00")

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:  # noqa: ARG002 - as above
        """Acknowledge: nothing had an effect."""
        return "00"

    async def echo(self) -> None:
        """Answer: there is nothing that could be away."""

    async def aclose(self) -> None:
        """Close nothing."""


def outcome_of(credential: Credential) -> str:
    """Return what a credential's magic value asks for."""
    if isinstance(credential, CardCredential):
        return CARDS.get(credential.pan.reveal(), APPROVE)
    return credential.account.reveal().partition(":")[2]


def _is_wrong(credential: Credential) -> bool:
    if isinstance(credential, CardCredential):
        return credential.pin_block is not None and credential.pin_block.reveal().startswith(WRONG_PIN)
    return credential.secret.reveal() == WRONG_SECRET
