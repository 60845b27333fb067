"""The store: it opens, is whole, keeps what it acknowledged and erases what it was told to, and has room."""

import shutil
from pathlib import Path
from typing import Final

from tallystick.bootstrap.storing import waiting as waiting_migrations
from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.errors import Misconfigured

FREE_MIN: Final = 1024 * 1024 * 1024  # bytes
MIB: Final = 1024 * 1024  # bytes
MOUNT_FIELDS_MIN: Final = 3  # fields of a line of /proc/self/mounts: device, place, kind
IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
ON_NETWORK: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.sshfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
)


async def opens(scene: Scene) -> str:
    """The store opens and can be read."""
    async with scene.desk() as desk:
        channels = await desk.store.read(lambda books: books.channels())
    return f"opens; {len(channels)} channels are registered"


async def settings(scene: Scene) -> str:
    """A commit waits for the disk, erased content is overwritten, and references hold."""
    with scene.examining() as store:
        refuse(store.unsafe_settings())
    return "commits wait for the disk, erased content is overwritten, references hold"


async def whole(scene: Scene) -> str:
    """Every page of the store is readable and every reference leads somewhere."""
    with scene.examining() as store:
        damage = store.damage()
    refuse([damage] if damage else [])
    return "every page and every reference is whole"


async def room(scene: Scene) -> str:
    """There is room: a full disk makes the platform refuse payments."""
    free = shutil.disk_usage(scene.layout.root).free
    if free < FREE_MIN:
        raise Misconfigured(f"{free // MIB} MiB are free, {FREE_MIN // MIB} are wanted")
    return f"{free // MIB} MiB are free"


async def file_system(scene: Scene) -> str:
    """The data lies on a disk of this machine: locks and syncs of a network or memory file system promise less."""
    kind = kind_of(scene.layout.root.resolve(), scene.machine.mounts)
    if kind in IN_MEMORY:
        raise Misconfigured(f"the data lies in memory ({kind}): it is gone when the machine stops")
    if kind in ON_NETWORK:
        raise Misconfigured(f"the data lies on a network file system ({kind}): its locks and syncs may not hold")
    return f"the data lies on {kind}" if kind else "this system does not tell the kind of its file system"


async def schema(scene: Scene) -> str:
    """The database of all nodes has the migrations of this release; the embedded store migrates by itself."""
    section = scene.settings().store
    if section.kind == "sqlite":
        return "the embedded store brings itself up to date"
    waiting = waiting_migrations(scene.layout, section)
    refuse([f"migration {number} was not applied" for number in waiting["pre"]])
    return f"up to date; {len(waiting['post'])} migrations wait for the end of the release before"


CHECKS: Final = (
    Check(
        "store schema", Weight.STOPS, "Have the database answer, then run tallystick store migrate --phase pre.", schema
    ),
    Check(
        "store",
        Weight.STOPS,
        "Have the database answer; restore an embedded store from its backup, or free space on its disk.",
        opens,
    ),
    Check(
        "store settings",
        Weight.UNSAFE,
        "Move the data to a local disk; set a server as operations/database.md says.",
        settings,
    ),
    Check(
        "store integrity",
        Weight.STOPS,
        "Where it is damaged: stop serving and restore the store from its backup.",
        whole,
    ),
    Check("free space", Weight.UNSAFE, "Free space on the disk of the data directory, or move it.", room),
    Check("file system", Weight.ADVICE, "Move the data directory to an encrypted local disk.", file_system),
)


def kind_of(path: Path, mounts: str) -> str:
    """Return the kind of the file system that `path` lies on, by the text of /proc/self/mounts; empty when unknown."""
    lines = [line.split() for line in mounts.splitlines()]
    places = [
        (len(Path(line[1]).parts), number, line[2])
        for number, line in enumerate(lines)
        if len(line) >= MOUNT_FIELDS_MIN and path.is_relative_to(line[1])
    ]
    return max(places)[2] if places else ""
