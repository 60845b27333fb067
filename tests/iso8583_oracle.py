"""The codec of others that ours is compared with: pyiso8583, with our elements described as it wants them."""

from collections.abc import Mapping
from typing import Any

import iso8583

from tallystick.iso8583.forms import Z_PACKED, Z_READ
from tallystick.iso8583.spec import MESSAGE_TYPE, Element, Layout, Spec


def description(spec: Spec) -> dict[str, dict[str, Any]]:
    """Describe a variant for pyiso8583."""
    described = {number: _described(element, spec.layout) for number, element in spec.elements.items()}
    described["h"] = {"data_enc": "ascii", "len_enc": "ascii", "len_type": 0, "max_len": 0, "desc": "no header"}
    described["t"] = _described(MESSAGE_TYPE, spec.layout)
    for bitmap in ("p", "1"):
        described[bitmap] = {"data_enc": "b", "len_enc": "b", "len_type": 0, "max_len": 8, "desc": "bitmap"}
    return described


def encode(spec: Spec, fields: Mapping[str, str]) -> bytes:
    """Encode with the library; raises its EncodeError."""
    packed = dict(fields)
    for number in _packed(spec, "z") & packed.keys():
        packed[number] = packed[number].translate(Z_PACKED)
    for number in _packed(spec, "x") & packed.keys():
        packed[number] = packed[number][:1].encode().hex() + packed[number][1:]
    message, _ = iso8583.encode(packed, description(spec))
    return bytes(message)


def decode(spec: Spec, message: bytes) -> dict[str, str] | None:
    """Decode with the library, and write again what it read; None when it reads nothing, or writes something else."""
    try:
        fields, _ = iso8583.decode(message, description(spec))
        for bitmap in ("p", "1"):
            fields.pop(bitmap, None)
        for number in _packed(spec, "z") & fields.keys():
            fields[number] = fields[number].translate(Z_READ)
        for number in _packed(spec, "x") & fields.keys():
            fields[number] = bytes.fromhex(fields[number][:2]).decode("latin-1") + fields[number][2:]
        return fields if encode(spec, fields) == message else None
    except (iso8583.DecodeError, iso8583.EncodeError, KeyError, ValueError):
        return None


def _packed(spec: Spec, kind: str) -> set[str]:
    return {number for number, element in spec.elements.items() if spec.layout.packed and element.kind == kind}


def _described(element: Element, layout: Layout) -> dict[str, Any]:
    kind, prefix, size, name = element
    described: dict[str, Any] = {
        "data_enc": "b" if kind == "b" else layout.texts,
        "len_enc": layout.texts,
        "len_type": prefix,
        "max_len": size,
        "desc": name,
    }
    if not layout.packed:
        return described
    described |= {"len_enc": "bcd", "len_type": (prefix + 1) // 2}
    if kind in {"n", "z"}:
        pad = layout.pad_variable if prefix else layout.pad_fixed
        described |= {"data_enc": "b", "len_count": "nibbles", f"{pad}_pad": "0"}
    elif kind == "x":  # the sign is one byte of text, the digits behind it are packed
        described |= {"data_enc": "b", "max_len": 1 + size // 2}
    return described
