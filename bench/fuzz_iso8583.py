"""Guided fuzzing of what a peer's bytes reach: codec, deframer, network header, key blocks.

    pip install atheris
    python bench/fuzz_iso8583.py decode -max_total_time=60

`decode`, `deframe`, `header` or `tr31`; what follows goes to libFuzzer. Only our refusals may come out, and a message
that is read is written the same; `tests/property/test_iso8583_fuzz.py` holds the same without guidance.
"""

import contextlib
import sys
from collections.abc import Callable
from typing import Final

import atheris

with atheris.instrument_imports(include=["tallystick", "iso8583"]):
    from tallystick.crypto import tr31
    from tallystick.crypto.tr31_header import KeyUsage
    from tallystick.errors import Refused
    from tallystick.iso8583.framing import FRAME_MAX, Deframer, LengthHeader
    from tallystick.iso8583.message import Codec
    from tallystick.iso8583.network_header import HeaderForm, NetworkHeader, unwrap
    from tallystick.iso8583.spec import MessageFormat, specification

MEMORY_MIB: Final = 512  # of the whole process, libFuzzer's corpus included
CODECS: Final = [Codec(specification(8, form), lambda _: bytes(8), lambda _, __: None) for form in MessageFormat]
HEADERS: Final = [
    HeaderForm(kind=NetworkHeader.UNIONPAY_46, destination="00010000", source="48021910"),
    HeaderForm(kind=NetworkHeader.TPDU_5, destination="0001", source="0000"),
    HeaderForm(kind=NetworkHeader.TPDU_11, destination="0001", source="0000"),
]
KBPKS: Final = {"B": bytes.fromhex("DD7515F2BFC17F85CE48F3CA25CB21F6"), "D": bytes(range(32))}


def decode(data: bytes) -> None:
    """Read a message in the format that the first byte picks, and write it again."""
    codec, wire = CODECS[data[0] % len(CODECS)], data[1:]
    assert codec.encode(codec.decode(wire)) == wire


def deframe(data: bytes) -> None:
    """Cut a stream, fed in pieces of as many bytes as the second byte says."""
    headers = list(LengthHeader)
    deframer, step, stream = Deframer(headers[data[0] % len(headers)]), data[1] or 1, data[2:]
    for start in range(0, len(stream), step):
        assert all(0 < len(content) <= FRAME_MAX for content in deframer.feed(stream[start : start + step]))


def header(data: bytes) -> None:
    """Read a network header."""
    unwrap(HEADERS[data[0] % len(HEADERS)], data[1:])


def key_block(data: bytes) -> None:
    """Open a key block with a right header, the number of optional blocks that the second byte says, and any rest."""
    version, rest = "BD"[data[0] % 2], data[2:].decode("latin-1")
    block = f"{version}{16 + len(rest):04d}P0TE00N{data[1] % 100:02d}00{rest}"
    tr31.unwrap(KBPKS[version], block, usage=KeyUsage.PIN)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "decode": decode,
    "deframe": deframe,
    "header": header,
    "tr31": key_block,
}


def main() -> None:
    """Fuzz one target until libFuzzer stops."""
    target = TARGETS[sys.argv.pop(1)]

    def once(data: bytes) -> None:
        if len(data) > 1:
            with contextlib.suppress(Refused):
                target(data)

    atheris.Setup([*sys.argv, f"-rss_limit_mb={MEMORY_MIB}"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
