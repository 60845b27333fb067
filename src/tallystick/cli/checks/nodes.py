"""The processes that run the platform: they are alive, one release, and somebody does the timers."""

from typing import Final

from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.delivery.model import Node
from tallystick.sweep import HEALTH


async def alive(scene: Scene) -> str:
    """Every node renews its lease."""
    nodes = await _nodes(scene)
    refuse([f"{node.name} has not renewed its lease" for node in nodes if node.lease_until <= scene.now()])
    return f"{len(nodes)} nodes are alive" if nodes else "no node runs now"


async def one_release(scene: Scene) -> str:
    """All nodes run one release, but for the time of a rolling restart."""
    releases = sorted({node.release for node in await _nodes(scene)})
    refuse([f"releases run side by side: {', '.join(releases)}"] if len(releases) > 1 else [])
    return f"release {releases[0]} runs" if releases else "no node runs now"


async def timers(scene: Scene) -> str:
    """One of the nodes that run does the timers."""
    if not await _nodes(scene):
        return "no node runs now"
    async with scene.desk() as desk:
        holder = await desk.store.read(lambda books: books.chore_holder(HEALTH))
    refuse([] if holder else ["nobody expires payments, retries deliveries or sends notices"])
    return "timers are done"


async def _nodes(scene: Scene) -> list[Node]:
    async with scene.desk() as desk:
        return await desk.store.read(lambda books: books.nodes())


CHECKS: Final = (
    Check("nodes", Weight.ADVICE, "Restart a process that hangs; one that is dead is buried by the others.", alive),
    Check("releases", Weight.ADVICE, "Finish the rolling restart: SIGHUP to serve, restart each worker.", one_release),
    Check("timers", Weight.STOPS, "Start tallystick worker, or serve without --no-timers.", timers),
)
