"""DUKPT vectors of ANSI X9.24-1 and X9.24-3 (each names its source in data/dukpt.json)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tallystick.crypto import dukpt_aes, dukpt_tdes, mac, pin
from tallystick.crypto.dukpt_aes import DerivedType, DerivedUse
from tallystick.crypto.pin import PinFormat
from tallystick.secret import Pan, Secret

VECTORS = json.loads((Path(__file__).parent / "data" / "dukpt.json").read_text())
AES = [VECTORS["aes128_bdk"], VECTORS["aes256_bdk"]]
TDES = VECTORS["tdes"]
AES_STEPS = [(base, step) for base in AES for name in ("sequence", "sequence2", "sequence3") for step in base[name]]
USES = {"pin": DerivedUse.PIN, "cmac": DerivedUse.MAC_GENERATE, "data": DerivedUse.DATA_ENCRYPT}
TYPES = {"aes128": DerivedType.AES_128, "aes256": DerivedType.AES_256}


def aes_key(base: dict[str, Any], step: dict[str, str], use: DerivedUse, kind: DerivedType) -> str:
    initial = dukpt_aes.initial_key(bytes.fromhex(base["bdk"]), bytes.fromhex(base["ikid"]))
    return dukpt_aes.transaction_key(initial, bytes.fromhex(step["ksn"]), use, kind).hex().upper()


def aes_derivation_key(base: dict[str, Any], step: dict[str, str]) -> str:
    """Return the key that the last derivation leads to, which a host never uses for itself."""
    initial = dukpt_aes.initial_key(bytes.fromhex(base["bdk"]), bytes.fromhex(base["ikid"]))
    return dukpt_aes.derivation_key(initial, bytes.fromhex(step["ksn"])).hex().upper()


def tdes_initial() -> bytes:
    return dukpt_tdes.initial_key(bytes.fromhex(TDES["bdk"]), bytes.fromhex(TDES["iksn"]))


@pytest.mark.parametrize("base", AES, ids=["AES-128", "AES-256"])
def test_the_initial_key_is_as_published(base: dict[str, Any]) -> None:
    initial = dukpt_aes.initial_key(bytes.fromhex(base["bdk"]), bytes.fromhex(base["ikid"]))

    assert base["ik"] == initial.hex().upper()


@pytest.mark.parametrize(("base", "step"), AES_STEPS, ids=[f"{step['ksn']}" for _, step in AES_STEPS])
def test_every_derived_key_is_as_published(base: dict[str, Any], step: dict[str, str]) -> None:
    expected = {name: key for name, key in step.items() if name.partition("_")[0] in USES}
    derived = {
        name: aes_key(base, step, USES[name.partition("_")[0]], TYPES[name.rpartition("_")[2]]) for name in expected
    }

    assert expected == derived
    assert step["txn_key"] == aes_derivation_key(base, step)


def test_seventy_two_derived_keys_are_compared() -> None:
    assert 72 == sum(name.partition("_")[0] in USES for _, step in AES_STEPS for name in step)


@pytest.mark.parametrize("step", VECTORS["aes128_bdk"]["sequence"], ids=lambda step: step["ksn"][-2:])
def test_a_published_aes_pin_block_opens_under_its_transaction_key(step: dict[str, str]) -> None:
    base = VECTORS["aes128_bdk"]
    key = bytes.fromhex(aes_key(base, step, DerivedUse.PIN, DerivedType.AES_128))

    pin.verify(bytes.fromhex(step["enc_pin_block"]), Pan(base["pan"]), key, PinFormat.ISO_4, Secret(base["pin"]))


@pytest.mark.parametrize("step", VECTORS["aes128_mac_and_data"]["sequence"], ids=lambda step: step["ksn"][-2:])
def test_a_published_cmac_is_made_with_its_transaction_key(step: dict[str, str]) -> None:
    key = aes_key(VECTORS["aes128_bdk"], step, DerivedUse.MAC_GENERATE, DerivedType.AES_128)
    message = VECTORS["aes128_mac_and_data"]["data_ascii"].encode()

    assert step["cmac_req"] == mac.cmac(bytes.fromhex(key), message).hex().upper()


def test_the_initial_tdes_key_is_as_published() -> None:
    assert TDES["ik"] == tdes_initial().hex().upper()


@pytest.mark.parametrize("step", TDES["sequence"], ids=lambda step: step["ksn"][-5:])
def test_a_tdes_transaction_key_and_its_pin_block_are_as_published(step: dict[str, str]) -> None:
    ksn, pan, digits = bytes.fromhex(step["ksn"]), Pan(TDES["pan"]), Secret(TDES["pin"])
    if "txn_key" in step:
        assert step["txn_key"] == dukpt_tdes.transaction_key(tdes_initial(), ksn).hex().upper()
    key = dukpt_tdes.pin_key(tdes_initial(), ksn)

    assert step["enc_pin_block"] == pin.encipher(digits, PinFormat.ISO_0, key, pan).hex().upper()
    pin.verify(bytes.fromhex(step["enc_pin_block"]), pan, key, PinFormat.ISO_0, digits)
