"""Back ends that answer by script and record all that they were told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

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
from tallystick.errors import NotSent
from tallystick.routing.model import BackEnd

APPROVED: Final = Answer(verdict=Verdict.APPROVED, code="00", approval="123456")
DECLINED: Final = Answer(verdict=Verdict.DECLINED, code="51")
NOT_FOUND: Final = Finding(known=Known.NOT_FOUND)
ACKNOWLEDGED: Final = "00"
"""Code of the acknowledgement of a reversal."""

HANG: Final = "hang"
"""A step that never answers: the send ends only when its task is cancelled."""

Step = Answer | BaseException | str | Callable[[Instruction], Awaitable[Answer]]
"""What one delivery does: answer, raise, `HANG`, or call a function that does one of these."""


class ScriptedConnector:
    """Do one step of the script per delivery, then `otherwise` for ever (`delivery.ports.Connector`).

    Each inquiry gives or raises the next of `findings`, then finds nothing; each reversal the next of `reversals`, then
    is acknowledged. `instructions`, `inquiries` and `reversed` hold all that was asked in order, also what was answered
    by an error; a reversal with its identifiers and whether it was a repeat. `echoes` counts echoes, which fail while
    `echo_error` is set.
    """

    def __init__(
        self,
        *script: Step,
        otherwise: Step = APPROVED,
        recovery: frozenset[Recovery] = frozenset(),
        keeps_account: bool = False,
        findings: Sequence[Finding | BaseException] = (),
        reversals: Sequence[str | BaseException] = (),
    ) -> None:
        self.recovery = recovery
        self.keeps_account = keeps_account
        self.instructions: list[Instruction] = []
        self.inquiries: list[Original] = []
        self.reversed: list[tuple[Original, MessageIds, bool]] = []
        self.echoes = 0
        self.echo_error: BaseException | None = None
        self.closed = False
        self._script = list(script)
        self._otherwise = otherwise
        self._findings = list(findings)
        self._reversals = list(reversals)

    async def deliver(self, instruction: Instruction) -> Answer:
        """Record the instruction and do the next step."""
        self.instructions.append(instruction)
        step = self._script.pop(0) if self._script else self._otherwise
        if isinstance(step, Answer):
            return step
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, str):
            never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            return await never
        return await step(instruction)

    async def inquire(self, original: Original, ids: MessageIds) -> Finding:  # noqa: ARG002  # the port passes `ids`
        """Record the question and give or raise the next finding."""
        self.inquiries.append(original)
        finding = self._findings.pop(0) if self._findings else NOT_FOUND
        if isinstance(finding, BaseException):
            raise finding
        return finding

    async def reverse(self, original: Original, ids: MessageIds, *, repeat: bool) -> str:
        """Record the reversal and give or raise the next acknowledgement."""
        self.reversed.append((original, ids, repeat))
        code = self._reversals.pop(0) if self._reversals else ACKNOWLEDGED
        if isinstance(code, BaseException):
            raise code
        return code

    async def echo(self) -> None:
        """Answer, or fail as told."""
        self.echoes += 1
        if self.echo_error is not None:
            raise self.echo_error

    async def aclose(self) -> None:
        """Note that the connector was closed."""
        self.closed = True


class ScriptedConnectors:
    """The scripted connectors by institution id (`delivery.ports.Connectors`)."""

    def __init__(self, by_institution: Mapping[str, ScriptedConnector] | None = None) -> None:
        self.by_institution = dict(by_institution or {})

    async def connector(self, back_end: BackEnd) -> ScriptedConnector:
        """Return the back end's connector; raises NotSent when the test gave it none."""
        if back_end.id not in self.by_institution:
            raise NotSent("no connector was given for this back end")
        return self.by_institution[back_end.id]

    def sent(self) -> list[Instruction]:
        """Return every instruction that any back end was told."""
        return [instruction for connector in self.by_institution.values() for instruction in connector.instructions]
