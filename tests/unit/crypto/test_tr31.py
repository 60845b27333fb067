"""Key blocks: what opens, and what is refused for the right reason."""

from collections.abc import Callable

import psec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from tallystick.crypto import tr31
from tallystick.crypto.tr31_header import (
    BLOCK_MAX,
    BlockVersion,
    Exportability,
    KeyAlgorithm,
    KeyBlockHeader,
    KeyUsage,
    ModeOfUse,
    OptionalBlock,
)
from tallystick.errors import Forbidden, Malformed, Misconfigured, SignatureInvalid
from tallystick.runtime import SystemRandomness

RANDOM = SystemRandomness()
TDES_KBPK = bytes.fromhex("DD7515F2BFC17F85CE48F3CA25CB21F6")
AES_KBPK = bytes(range(32))
KEY = bytes.fromhex("3F419E1CB7079442AA37474C2EFBF8B8")
PIN_B = KeyBlockHeader(version=BlockVersion.B, usage=KeyUsage.PIN, algorithm=KeyAlgorithm.TDES, mode=ModeOfUse.ENCRYPT)
MAC_D = KeyBlockHeader(
    version=BlockVersion.D, usage=KeyUsage.MAC_CMAC, algorithm=KeyAlgorithm.AES, mode=ModeOfUse.GENERATE_AND_VERIFY
)
KS = OptionalBlock("KS", "00604B120F9292800000")
EACH = pytest.mark.parametrize(("kbpk", "header"), [(TDES_KBPK, PIN_B), (AES_KBPK, MAC_D)], ids=["B", "D"])


def with_optional(header: KeyBlockHeader, *optional: OptionalBlock) -> KeyBlockHeader:
    return KeyBlockHeader(
        version=header.version,
        usage=header.usage,
        algorithm=header.algorithm,
        mode=header.mode,
        optional=optional,
    )


def sealed(kbpk: bytes, head: str, clear: bytes) -> str:
    """Seal any clear data behind any header, as only the holder of the KBPK can."""
    version = BlockVersion(head[0])
    cipher_key, mac_key = tr31._derived(version, kbpk)
    mac = tr31._cmac(version, mac_key, head.encode() + clear)
    enciphered = Cipher(tr31._cipher(version, cipher_key), modes.CBC(mac)).encryptor().update(clear)
    return head + (enciphered + mac).hex().upper()


@EACH
@pytest.mark.parametrize("optional", [(), (KS,), (KS, OptionalBlock("TS", "2026"))])
def test_an_opened_block_has_the_wrapped_key_and_header(
    kbpk: bytes, header: KeyBlockHeader, optional: tuple[OptionalBlock, ...]
) -> None:
    said = with_optional(header, *optional)
    opened = tr31.unwrap(kbpk, tr31.wrap(kbpk, said, KEY, RANDOM), usage=said.usage)

    assert said == opened.header
    assert KEY.hex().upper() == opened.key.reveal()


@EACH
@pytest.mark.parametrize("optional", [(), (KS,), (KS, OptionalBlock("TS", "2026"))])
def test_psec_opens_what_we_wrap(kbpk: bytes, header: KeyBlockHeader, optional: tuple[OptionalBlock, ...]) -> None:
    read, key = psec.tr31.unwrap(kbpk, tr31.wrap(kbpk, with_optional(header, *optional), KEY, RANDOM))

    assert KEY == key
    assert dict(optional) == dict(read.blocks)
    assert (header.usage, header.mode) == (read.key_usage, read.mode_of_use)


@pytest.mark.parametrize(("kbpk", "head"), [(TDES_KBPK, "B0000P0TE00E0000"), (AES_KBPK, "D0000M6AC00N0000")])
def test_what_psec_wraps_is_opened(kbpk: bytes, head: str) -> None:
    opened = tr31.unwrap(kbpk, psec.tr31.wrap(kbpk, head, KEY), usage=KeyUsage(head[5:7]))

    assert KEY.hex().upper() == opened.key.reveal()
    assert Exportability(head[11]) is opened.header.exportability


def test_a_long_optional_block_has_a_long_length() -> None:
    said = with_optional(MAC_D, OptionalBlock("CT", "c" * 300))
    block = tr31.wrap(AES_KBPK, said, KEY, RANDOM)

    assert "CT000401" in block
    assert said == tr31.unwrap(AES_KBPK, block, usage=said.usage).header


@pytest.mark.parametrize(("algorithm", "lengths"), [(KeyAlgorithm.AES, (16, 24, 32)), (KeyAlgorithm.TDES, (16, 24))])
def test_a_block_does_not_tell_the_length_of_its_key(algorithm: KeyAlgorithm, lengths: tuple[int, ...]) -> None:
    header = KeyBlockHeader(
        version=BlockVersion.D, usage=KeyUsage.DATA, algorithm=algorithm, mode=ModeOfUse.ENCRYPT_AND_DECRYPT
    )

    assert 1 == len({len(tr31.wrap(AES_KBPK, header, bytes(range(length)), RANDOM)) for length in lengths})


@EACH
def test_no_two_blocks_of_one_key_are_alike(kbpk: bytes, header: KeyBlockHeader) -> None:
    assert tr31.wrap(kbpk, header, KEY, RANDOM) != tr31.wrap(kbpk, header, KEY, RANDOM)


@EACH
def test_a_key_for_another_usage_is_refused(kbpk: bytes, header: KeyBlockHeader) -> None:
    with pytest.raises(Forbidden):
        tr31.unwrap(kbpk, tr31.wrap(kbpk, header, KEY, RANDOM), usage=KeyUsage.KEY_ENCRYPTION)


def test_the_usage_cannot_be_altered() -> None:
    block = tr31.wrap(TDES_KBPK, PIN_B, KEY, RANDOM)

    with pytest.raises(SignatureInvalid):
        tr31.unwrap(TDES_KBPK, block.replace("P0TE", "K0TE"), usage=KeyUsage.KEY_ENCRYPTION)


@EACH
def test_no_character_can_be_altered(kbpk: bytes, header: KeyBlockHeader) -> None:
    block = tr31.wrap(kbpk, with_optional(header, KS), KEY, RANDOM)
    for place, character in enumerate(block):
        altered = block[:place] + ("0" if character != "0" else "1") + block[place + 1 :]
        with pytest.raises((Malformed, SignatureInvalid)):
            tr31.unwrap(kbpk, altered, usage=header.usage)


@EACH
def test_another_kbpk_is_refused(kbpk: bytes, header: KeyBlockHeader) -> None:
    with pytest.raises(SignatureInvalid):
        tr31.unwrap(kbpk[::-1], tr31.wrap(kbpk, header, KEY, RANDOM), usage=header.usage)


@EACH
def test_a_kbpk_of_wrong_length_is_refused(kbpk: bytes, header: KeyBlockHeader) -> None:
    block = tr31.wrap(kbpk, header, KEY, RANDOM)
    for length in (0, 8, 15, 17):
        with pytest.raises(Misconfigured):
            tr31.unwrap((kbpk * 2)[:length], block, usage=header.usage)


@pytest.mark.parametrize("kbpk", [TDES_KBPK[:8] * 2, TDES_KBPK[:8] * 3, TDES_KBPK + TDES_KBPK[8:]])
def test_a_tdes_kbpk_that_is_single_des_is_refused(kbpk: bytes) -> None:
    with pytest.raises(Misconfigured):
        tr31.wrap(kbpk, PIN_B, KEY, RANDOM)


@pytest.mark.parametrize("key", [b"", KEY[:8], KEY[:8] * 2, KEY + KEY[8:], KEY + KEY])
def test_a_key_that_is_no_tdes_key_is_not_wrapped(key: bytes) -> None:
    with pytest.raises(Misconfigured):
        tr31.wrap(TDES_KBPK, PIN_B, key, RANDOM)


@pytest.mark.parametrize(
    "clear",
    [
        b"\x00\x7f" + KEY.ljust(30, b"\0"),  # not a multiple of eight bits
        b"\x00\x40" + KEY.ljust(30, b"\0"),  # single DES
        b"\x01\x00" + KEY.ljust(30, b"\0"),  # longer than the data
        b"\x00\x80" + (KEY[:8] * 2).ljust(30, b"\0"),  # equal halves
        b"\x00\x00" + bytes(30),
    ],
)
def test_an_authentic_block_whose_key_is_none_is_refused(clear: bytes) -> None:
    with pytest.raises(Malformed):
        tr31.unwrap(TDES_KBPK, sealed(TDES_KBPK, "B0096P0TE00N0000", clear), usage=KeyUsage.PIN)


@pytest.mark.parametrize(
    "head",
    [
        "A0096P0TE00N0000",  # version
        "E0096P0TE00N0000",
        "B0096Z9TE00N0000",  # usage
        "B0096P0DE00N0000",  # single DES
        "B0096P0AE00N0000",  # AES under TDES
        "B0096P0TC00N0000",  # a mode of MAC keys
        "B0096P0TE00Q0000",  # exportability
        "B0096P0TE00N0001",  # reserved
        "B0096P0TE00N0100",  # an optional block that is not there
        "B0096P0TE00N9900",
        "B0104P0TE00N0000",  # length
        "B0096P0TE0\u0660N0000",
    ],
)
def test_a_header_that_is_not_ours_is_refused_before_its_mac(head: str) -> None:
    body = tr31.wrap(TDES_KBPK, PIN_B, KEY, RANDOM)[16:]

    assert 80 == len(body)
    with pytest.raises(Malformed):
        tr31.unwrap(TDES_KBPK, head + body, usage=KeyUsage.PIN)


@pytest.mark.parametrize(
    "optional",
    [
        "KS03",  # shorter than its own header
        "KS0900001",  # no multiple of the cipher's block
        "KSFF0000",  # beyond the end
        "KS00FF00",  # length of length beyond the end
        "KS000000",  # no length of length
        "KSxx0000",
        "ks080000",
        "PB08pad0KS080000",  # padding in front
        "KS080000KS080001",  # twice
    ],
)
def test_optional_blocks_that_do_not_fit_are_refused(optional: str) -> None:
    count = 2 if len(optional) == 16 else 1
    head = f"B{96 + len(optional):04d}P0TE00N{count:02d}00{optional}"
    body = tr31.wrap(TDES_KBPK, PIN_B, KEY, RANDOM)[16:]

    with pytest.raises(Malformed):
        tr31.unwrap(TDES_KBPK, head + body, usage=KeyUsage.PIN)


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_optional(PIN_B, KS, KS),
        lambda: with_optional(PIN_B, OptionalBlock("PB", "0000")),
        lambda: tr31.wrap(TDES_KBPK, with_optional(PIN_B, OptionalBlock("K", "00")), KEY, RANDOM),
        lambda: tr31.wrap(TDES_KBPK, with_optional(PIN_B, OptionalBlock("KS", "\n")), KEY, RANDOM),
        lambda: tr31.wrap(TDES_KBPK, with_optional(PIN_B, OptionalBlock("KS", "0" * BLOCK_MAX)), KEY, RANDOM),
    ],
)
def test_a_header_that_cannot_be_read_back_is_not_written(make: Callable[[], object]) -> None:
    with pytest.raises(Malformed):
        make()


def test_the_key_is_never_printed() -> None:
    opened = tr31.unwrap(TDES_KBPK, tr31.wrap(TDES_KBPK, PIN_B, KEY, RANDOM), usage=KeyUsage.PIN)

    assert KEY.hex() not in repr(opened).lower()


def test_only_tdes_and_aes_keys_have_a_check_value() -> None:
    with pytest.raises(Misconfigured):
        tr31.check_value(KeyAlgorithm.HMAC, bytes(32))
    with pytest.raises(Misconfigured):
        tr31.check_value(KeyAlgorithm.TDES, KEY[:8])
