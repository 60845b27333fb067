"""The PIN process as the serving one sees it: started, asked, restarted when it dies.

It answers in the order it is asked, so many may wait at a time: a caller that waited for those before it to be answered
would wait a round of the loop for each. It fails closed: without an answer in time the process is ended, and the
payments wait for the next one.
"""

import asyncio
import contextlib
from asyncio import IncompleteReadError
from asyncio.subprocess import Process
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from tallystick.adapters.helper import process as helper
from tallystick.adapters.helper.frames import frame
from tallystick.adapters.pins import program
from tallystick.adapters.pins.messages import (
    MESSAGE_MAX,
    Answered,
    Asked,
    Bind,
    DeviceKey,
    Failed,
    ImportKey,
    MakeKey,
    Translate,
    TranslateClear,
    answered,
)
from tallystick.channels.model import PinScheme
from tallystick.delivery.model import ZoneKey
from tallystick.errors import (
    FieldInvalid,
    Forbidden,
    Malformed,
    Misconfigured,
    SignatureInvalid,
    TallystickError,
    Unavailable,
)
from tallystick.runtime import Clock
from tallystick.secret import Pan, Secret
from tallystick.vault.model import EncipheredPin

ANSWER_S: Final = 2.0  # s for one answer; it takes well below a millisecond, and so do those before it
ASKED_MAX: Final = 1_024  # messages that wait for their answers
START_S: Final = 10.0  # s for a start on a busy machine
REST_MS: Final = 1_000  # ms after a start that failed until the next one
ERRORS: Final = {each.__name__: each for each in (FieldInvalid, Forbidden, Malformed, Misconfigured, SignatureInvalid)}


class PinDesk:
    """Speak the messages of the PIN box over whatever carries them; `ask` is all a carrier adds."""

    async def ask(self, message: Asked) -> Answered:
        """Carry a message to the box; raises Unavailable when no answer came."""
        raise NotImplementedError

    async def translate(self, pin: Secret | EncipheredPin, pan: Pan, zone: ZoneKey) -> bytes:
        """Translate a PIN block (`delivery.ports.PinTranslator`)."""
        if isinstance(pin, Secret):
            return bytes.fromhex(await self._value(TranslateClear(block=pin.reveal(), pan=pan.reveal(), zone=zone)))
        message = Translate(
            form=pin.form,
            scheme=pin.scheme,
            key=pin.key_block,
            ksn=pin.ksn,
            block=pin.block.reveal(),
            token=pin.token,
            record=None if pin.record is None else pin.record.hex(),
            payment_id=pin.payment_id,
            pan=pan.reveal(),
            zone=zone,
        )
        return bytes.fromhex(await self._value(message))

    async def bind(self, token: str, pan: Pan, payment_id: str) -> bytes:
        """Bind a token to a card and a payment (`vault.ports.PinBinder`)."""
        return bytes.fromhex(await self._value(Bind(token=token, pan=pan.reveal(), payment_id=payment_id)))

    async def make_key(self) -> str:
        """Make a base key for the devices of a channel; returns its key block."""
        return await self._value(MakeKey())

    async def import_key(self, scheme: PinScheme, transport: Secret, block: str) -> str:
        """Take a foreign key; returns its key block. Raises the errors of `crypto.tr31.unwrap`."""
        return await self._value(ImportKey(scheme=scheme, transport=transport.reveal(), block=block))

    async def device_key(self, key_block: str, device: bytes) -> Secret:
        """Derive the initial key of one device, in hexadecimal, for that device's profile."""
        return Secret(await self._value(DeviceKey(key=key_block, device=device.hex())))

    async def _value(self, message: Asked) -> str:
        answer = await self.ask(message)
        if isinstance(answer, Failed):
            raise ERRORS.get(answer.error, Misconfigured)(answer.detail)
        return answer.value


class _Asking:
    """A process that runs, and the answers it owes in the order they were asked for."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._owed: deque[asyncio.Future[Answered]] = deque()
        self._reading = asyncio.create_task(self._read())

    @property
    def over(self) -> bool:
        """Tell whether no more answers come."""
        return self._reading.done() or self.process.returncode is not None

    def send(self, message: Asked) -> asyncio.Future[Answered]:
        """Ask; the answer fails with Unavailable when the process ends first. Raises Unavailable when too many wait."""
        if self.process.stdin is None or len(self._owed) >= ASKED_MAX:
            raise Unavailable("too many wait for the PIN process; try again")
        answer: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._owed.append(answer)
        self.process.stdin.write(frame(message))
        return answer

    async def end(self) -> None:
        """Kill it, and wait until it and its pipes are gone: it has nothing to finish."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self._reading.cancel()  # its pipe has one reader at a time
        await asyncio.gather(self._reading, return_exceptions=True)
        await helper.end(self.process)

    async def _read(self) -> None:
        try:
            while True:
                answer = await _read(self.process)
                owed = self._owed.popleft()
                if not owed.done():  # its caller went away
                    owed.set_result(answer)
        except (OSError, IncompleteReadError, IndexError, msgspec.MsgspecError, TallystickError):
            return
        finally:
            for owed in self._owed:
                if not owed.done():
                    owed.set_exception(Unavailable("the PIN process gave no answer; try again"))


class PinProcess(PinDesk):
    """Keep one PIN process for a directory of keys.

    `kept` says that PIN keys are stored: then its own keys are never made anew, nor after the first start.
    """

    def __init__(self, directory: Path, clock: Clock, *, kept: bool = False) -> None:
        self._directory = directory
        self._clock = clock
        self._kept = kept
        self._asking: _Asking | None = None
        self._turn = asyncio.Lock()
        self._failed_at: int | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id while it runs."""
        return self._asking.process.pid if self._asking is not None and not self._asking.over else None

    async def start(self) -> None:
        """Start the process; raises Misconfigured when it does not come up (its standard error says why)."""
        async with self._turn:
            try:
                await self._start()
            except Unavailable as failed:
                raise Misconfigured("the PIN process does not start; see the line it printed") from failed

    async def ask(self, message: Asked) -> Answered:
        """Ask, and restart the process first if it died; raises Unavailable, as does every later call until it runs."""
        async with self._turn:
            asking = await self._running()
        answer = asking.send(message)
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError as late:
            await self._end(asking)
            raise Unavailable("the PIN process gave no answer; try again") from late

    async def aclose(self) -> None:
        """End the process and wait for it."""
        if self._asking is not None:
            await self._end(self._asking)

    async def _running(self) -> _Asking:
        if self._asking is not None and not self._asking.over:
            return self._asking
        now = self._clock.now()
        if self._failed_at is not None and 0 <= now - self._failed_at < REST_MS:
            raise Unavailable("the PIN process does not start; try again")
        return await self._start()

    async def _start(self) -> _Asking:
        before, self._asking = self._asking, None
        if before is not None:
            await before.end()
        process = None
        try:
            process = await helper.start(program.__name__, str(self._directory), *([program.KEPT] * self._kept))
            async with asyncio.timeout(START_S):
                await _read(process)
        except (TimeoutError, OSError, IncompleteReadError) as failed:
            self._failed_at = self._clock.now()
            if process is not None:
                await helper.end(process)
            raise Unavailable("the PIN process does not start; try again") from failed
        self._failed_at, self._kept = None, True
        self._asking = _Asking(process)
        return self._asking

    async def _end(self, asking: _Asking) -> None:
        """End a process for all who wait for it, unless another caller did."""
        async with self._turn:
            if self._asking is asking:
                self._asking = None
                await asking.end()


async def _read(process: Process) -> Answered:
    answer: Answered = answered.decode(await helper.read(process, MESSAGE_MAX))
    return answer
