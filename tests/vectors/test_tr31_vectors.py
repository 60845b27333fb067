"""TR-31 / X9.143 vectors: published key blocks, derived keys and blocks that must be refused; sources in the file."""

import json
from pathlib import Path

import psec
import pytest

from tallystick.crypto import tr31
from tallystick.crypto.tr31_header import BlockVersion, KeyUsage
from tallystick.errors import Malformed, Misconfigured, NotAuthentic, Refused

VECTORS = json.loads((Path(__file__).parent / "data" / "tr31.json").read_text())
SINGLE_DES = "EEEEEEEEEEEEEEEE"  # psec wraps it as a TDES key
OPENED = [case for case in VECTORS["blocks"] if case["version"] in "BD" and case["key"] != SINGLE_DES]
OBSOLETE = [case for case in VECTORS["blocks"] if case["version"] in "ACE"]
KBPK = bytes.fromhex("DD7515F2BFC17F85CE48F3CA25CB21F6")


def usage(block: str) -> KeyUsage:
    return KeyUsage(block[5:7])


def opened(case: dict[str, str]) -> tr31.WrappedKey:
    return tr31.unwrap(bytes.fromhex(case["kbpk"]), case["block"], usage=usage(case["block"]))


@pytest.mark.parametrize("case", OPENED, ids=lambda case: f"{case['version']} {case['origin']}")
def test_a_published_block_opens_to_its_key(case: dict[str, str]) -> None:
    assert case["key"] == opened(case).key.reveal()


@pytest.mark.parametrize("case", [case for case in OPENED if "kcv" in case], ids=lambda case: case["origin"])
def test_a_published_key_has_its_check_value(case: dict[str, str]) -> None:
    assert case["kcv"][:6] == tr31.check_value(opened(case).header.algorithm, bytes.fromhex(case["key"]))


@pytest.mark.parametrize("case", OPENED, ids=lambda case: f"{case['version']} {case['origin']}")
def test_psec_opens_a_published_block_to_the_same_key(case: dict[str, str]) -> None:
    _, key = psec.tr31.unwrap(bytes.fromhex(case["kbpk"]), case["block"])

    assert key.hex().upper() == opened(case).key.reveal()


def test_twelve_published_blocks_are_of_versions_that_are_opened() -> None:
    assert {"B": 7, "D": 5} == {version: [case["version"] for case in OPENED].count(version) for version in "BD"}


@pytest.mark.parametrize("case", OBSOLETE, ids=lambda case: f"{case['version']} {case['origin']}")
def test_a_block_of_another_version_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        opened(case)


def test_a_single_des_key_is_refused_though_its_block_is_authentic() -> None:
    case = next(case for case in VECTORS["blocks"] if case["key"] == SINGLE_DES)

    with pytest.raises(Malformed):
        opened(case)


@pytest.mark.parametrize("case", VECTORS["derivation"], ids=lambda case: case["version"])
def test_published_keys_are_derived(case: dict[str, str]) -> None:
    derived = tr31._derived(BlockVersion(case["version"]), bytes.fromhex(case["kbpk"]))

    assert [case["kbek"], case["kbak"]] == [key.hex().upper() for key in derived]


@pytest.mark.parametrize("case", VECTORS["invalid"], ids=lambda case: case["why"][:40])
def test_a_block_that_must_be_refused_is_refused(case: dict[str, str]) -> None:
    with pytest.raises((Refused, Misconfigured)):
        opened(case)


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["invalid"] if case["block"][0] == "B"], ids=lambda case: case["why"][:40]
)
def test_it_is_also_refused_under_a_key_that_fits_which_its_own_of_equal_halves_does_not(case: dict[str, str]) -> None:
    with pytest.raises((Malformed, NotAuthentic)):
        tr31.unwrap(KBPK, case["block"], usage=usage(case["block"]))


def test_nineteen_blocks_must_be_refused() -> None:
    assert 19 == len(VECTORS["invalid"])
