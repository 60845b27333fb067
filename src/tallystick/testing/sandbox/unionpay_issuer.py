"""The issuer behind the UnionPay-style sandbox: who is approved, what is undone, what is known of a request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tallystick.errors import CredentialRefused, Refused
from tallystick.iso8583.originals import Original, original_of, read_original, write_original
from tallystick.runtime import Clock
from tallystick.secret import Pan, Secret
from tallystick.testing.sandbox.record import Entry, Record
from tallystick.testing.sandbox.unionpay_config import SandboxConfig
from tallystick.testing.sandbox.unionpay_keys import SandboxKeys
from tallystick.testing.sandbox.unionpay_magic import Failure, Magic, magic_of


class Code(StrEnum):
    """Response codes (DE39) that the sandbox gives of itself."""

    APPROVED = "00"
    INVALID_TRANSACTION = "12"
    NO_SUCH_CARD = "14"
    NOT_FOUND = "25"
    FORMAT = "30"
    EXPIRED = "54"
    WRONG_PIN = "55"
    SIGN_ON_AGAIN = "77"
    PIN_BLOCK = "99"
    WRONG_MAC = "A0"


@dataclass(slots=True)
class _Known:
    """What is known of one request: the code it was answered with, whether it moved money, and what became of it."""

    original: Original
    code: str
    effective: bool = False
    reversed: bool = False
    reversals: int = 0


class Issuer:
    """The side that knows the cards. An authorisation is effective once for each retrieval reference (DE37).

    A reversal finds it by DE37 and DE90 and undoes it. When there is nothing yet, it is remembered: the authorisation
    has no effect when it arrives later. What the record holds from before a restart is known.
    """

    def __init__(self, config: SandboxConfig, keys: SandboxKeys, record: Record, clock: Clock) -> None:
        self.authorisations = 0
        self._cards = config.cards
        self._keys = keys
        self._silences = config.reversal_silences
        self._record = record
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._held: set[str] = set()
        self._recall(record.entries)

    def hold(self, request: Mapping[str, str]) -> None:
        """Know that a request is on its way."""
        self._held.add(request["37"])

    def authorise(self, request: Mapping[str, str], magic: Magic) -> str:
        """Decide on an authorisation and return DE39; a repeated reference gets its first answer and no second effect.

        A reversed one is answered as not found.
        """
        self.authorisations += 1
        self._held.discard(request["37"])
        known = self._known.get(request["37"])
        if known is not None:
            self.note(request, "reversed" if known.reversed else "duplicate")
            return Code.NOT_FOUND if known.reversed else known.code
        code, pin_state = self._decide(request)
        approved = code == Code.APPROVED
        if approved and magic.code is not None:
            code = magic.code
        effective = approved and (magic.code is None or magic.moves)
        original = original_of(request)
        self._known[request["37"]] = _Known(original, code, effective)
        outcome = magic.failure or code
        self.note(request, outcome, pin_state, effective=effective, code=code, original=write_original(original))
        return code

    def reverse(self, request: Mapping[str, str]) -> str | None:
        """Undo what DE37 and DE90 name and return DE39, or None for no answer."""
        failure = magic_of(request["4"]).failure
        code, undone = self._undo(request["37"], read_original(request["90"]), failure)
        silent = (
            code == Code.APPROVED
            and failure is Failure.UNACKNOWLEDGED
            and self._known[request["37"]].reversals <= self._silences
        )
        self.note(request, Failure.SILENT if silent else code, undone=undone, original=request["90"])
        return None if silent else code

    def inquire(self, request: Mapping[str, str]) -> tuple[str, str | None]:
        """Return DE39 and DE44: state (A approved, D declined, R reversed, P on its way) and code of the original."""
        known = self._known.get(request["37"])
        told = "P" if request["37"] in self._held else None
        if known is not None and known.original == read_original(request["90"]):
            told = f"R{known.code}" if known.reversed else "A00" if known.effective else f"D{known.code}"
        code = Code.NOT_FOUND if told is None else Code.APPROVED
        self.note(request, told or code)
        return code, told

    def note(
        self,
        request: Mapping[str, str],
        outcome: str,
        pin_state: str = "none",
        *,
        effective: bool = False,
        undone: bool = False,
        **more: str | None,
    ) -> None:
        """Record a request, masked."""
        self._record.append(
            {
                "at": self._clock.now(),
                "kind": request.get("t"),
                "stan": request.get("11"),
                "rrn": request.get("37"),
                "amount": int(request["4"]) if "4" in request else None,
                "currency": request.get("49"),
                "card": Pan(request["2"]).masked if "2" in request else None,
                "pin": pin_state,
                "outcome": outcome,
                "effective": effective,
                "undone": undone,
                **more,
            }
        )

    def _undo(self, reference: str, original: Original, failure: Failure | None) -> tuple[str, bool]:
        """Undo an authorisation for ever, also one that has not arrived; gives DE39 and whether money moved back."""
        known = self._known.setdefault(reference, _Known(original, Code.NOT_FOUND))
        known.reversals += 1
        if known.original != original or (known.code == Code.NOT_FOUND and not known.effective):
            known.reversed = known.original == original
            return Code.NOT_FOUND, False
        if failure is Failure.IRREVERSIBLE:
            return Code.INVALID_TRANSACTION, False
        undone = known.effective and not known.reversed
        known.reversed = True
        return Code.APPROVED, undone

    def _recall(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            reference, original, code = entry.get("rrn"), entry.get("original"), entry.get("code")
            if not isinstance(reference, str) or not isinstance(original, str):
                continue
            if code is None:
                self._undo(reference, read_original(original), magic_of(f"{entry['amount']:012}").failure)
            else:
                self._known[reference] = _Known(read_original(original), str(code), bool(entry["effective"]))

    def _decide(self, request: Mapping[str, str]) -> tuple[str, str]:
        card = self._cards.get(request["2"])
        if card is None:
            return Code.NO_SUCH_CARD, "none"
        if "14" in request and card.expiry not in (None, request["14"]):
            return Code.EXPIRED, "none"
        if "52" not in request:
            return (Code.APPROVED if card.pin is None else Code.WRONG_PIN), "none"
        block, expected = bytes.fromhex(request["52"]), Secret(card.pin or "")
        try:
            self._keys.verify_pin(block, Pan(request["2"]), expected)
        except CredentialRefused:
            return Code.WRONG_PIN, "wrong"
        except Refused:
            return Code.PIN_BLOCK, "wrong"
        return Code.APPROVED, "verified"
