"""Back ends that answer by script and record all that they were told."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tallystick.delivery.model import Answer, Instruction, Verdict
from tallystick.errors import NotSent
from tallystick.routing.model import BackEnd

APPROVED: Final = Answer(verdict=Verdict.APPROVED, code="00", approval="123456")
DECLINED: Final = Answer(verdict=Verdict.DECLINED, code="51")
HANG: Final = "hang"
"""A step that never answers: the send ends only when its task is cancelled."""

Step = Answer | BaseException | str | Callable[[Instruction], Awaitable[Answer]]
"""What one delivery does: answer, raise, `HANG`, or call a function that does one of these."""


class ScriptedConnector:
    """Do one step of the script per delivery, then `otherwise` for ever (`delivery.ports.Connector`).

    `instructions` holds every instruction in order, also those that were answered by an error; `echoes` counts echoes,
    which fail while `echo_error` is set.
    """

    def __init__(self, *script: Step, otherwise: Step = APPROVED) -> None:
        self.instructions: list[Instruction] = []
        self.echoes = 0
        self.echo_error: BaseException | None = None
        self.closed = False
        self._script = list(script)
        self._otherwise = otherwise

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
