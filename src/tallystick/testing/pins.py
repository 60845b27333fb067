"""The PIN box in memory, without a process of its own; for tests."""

from tallystick.adapters.pins.box import PinBox
from tallystick.adapters.pins.messages import Answered, Asked
from tallystick.adapters.pins.process import PinDesk
from tallystick.errors import Unavailable
from tallystick.runtime import Randomness
from tallystick.testing.clock import SeededRandomness


class MemoryPins(PinDesk):
    """Answer as the PIN process does; `away` makes it give no answer, `asked` counts."""

    def __init__(self, randomness: Randomness | None = None) -> None:
        randomness = randomness or SeededRandomness(9)
        self.box = PinBox(randomness.token(32), randomness.token(32), randomness)
        self.away = False
        self.asked = 0

    async def ask(self, message: Asked) -> Answered:
        """Answer at once; raises Unavailable while `away`."""
        self.asked += 1
        if self.away:
            raise Unavailable("the PIN process gave no answer; try again")
        return self.box.answer(message)
