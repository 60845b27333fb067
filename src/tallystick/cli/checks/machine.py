"""The process and its machine: what could leak memory, rights, and versions with known faults."""

from typing import Final

from tallystick.cli.checks.model import Check, Scene, Weight
from tallystick.errors import Misconfigured

PYTHON_MIN: Final = (3, 11, 5)  # release: CVE-2023-40217, data before the handshake passed as if it came after it
OPENSSL_MIN: Final = (3, 0, 7)  # release: CVE-2022-3602, a peer's certificate overran a buffer
CLOSED_UMASK: Final = 0o027
ROOT: Final = 0


async def core_dumps(scene: Scene) -> str:
    """A crash leaves no memory on disk: it would hold PINs and card numbers (invariant I7)."""
    if scene.machine.core_limit != 0:
        raise Misconfigured("core dumps are on for commands; tallystick serve turns its own off")
    return "core dumps are off"


async def core_handler(scene: Scene) -> str:
    """No program takes core dumps: Linux gives them to one whatever the limit says (core(5))."""
    if not scene.machine.core_pattern:
        return "this system does not tell who takes core dumps"
    if scene.machine.core_pattern.startswith("|"):
        raise Misconfigured("kernel.core_pattern hands core dumps to a program, whatever the limit")
    return "no program takes core dumps"


async def swap(scene: Scene) -> str:
    """Memory is not written to a swap area; whether one is encrypted cannot be known from here."""
    if not scene.machine.swaps:
        return "this system does not tell whether memory is swapped"
    areas = len(scene.machine.swaps.splitlines()) - 1
    if areas > 0:
        raise Misconfigured(f"{areas} swap areas are in use; whether they are encrypted cannot be known from here")
    return "no swap area is in use"


async def user(scene: Scene) -> str:
    """The platform runs as a user of its own."""
    if scene.machine.user == ROOT:
        raise Misconfigured("this runs as root")
    return f"runs as user {scene.machine.user}"


async def umask(scene: Scene) -> str:
    """New files are closed to others."""
    if scene.machine.umask & CLOSED_UMASK != CLOSED_UMASK:
        raise Misconfigured(f"the umask is {scene.machine.umask:03o}: others may read new files")
    return f"the umask is {scene.machine.umask:03o}"


async def versions(scene: Scene) -> str:
    """Python and its OpenSSL are not ones with a fault that a peer could use during a handshake."""
    python, openssl = scene.machine.python, scene.machine.openssl
    if python < PYTHON_MIN:
        raise Misconfigured(f"Python {_dotted(python)} has known faults: {_dotted(PYTHON_MIN)} is wanted")
    if openssl < OPENSSL_MIN:
        raise Misconfigured(f"OpenSSL {_dotted(openssl)} has known faults: {_dotted(OPENSSL_MIN)} is wanted")
    return f"Python {_dotted(python)}, OpenSSL {_dotted(openssl)}; newer fixes are the distribution's"


CHECKS: Final = (
    Check("core dumps", Weight.UNSAFE, "ulimit -c 0 for the user that serves and for operators.", core_dumps),
    Check("core handler", Weight.ADVICE, "Set kernel.core_pattern to a plain name.", core_handler),
    Check("swap", Weight.ADVICE, "Turn swap off, or encrypt it with a key made at each start.", swap),
    Check("user", Weight.ADVICE, "Give the data directory to a user of its own, and serve as that one.", user),
    Check("umask", Weight.ADVICE, "Set umask 077 for the user that serves and for operators.", umask),
    Check("versions", Weight.UNSAFE, "Update Python and the OpenSSL it uses.", versions),
)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
