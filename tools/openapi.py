"""Write docs/reference/openapi.json from the code: python tools/openapi.py."""

from pathlib import Path

import msgspec

from tallystick.service.merchants.openapi import document

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "openapi.json"

if __name__ == "__main__":
    PAGE.write_bytes(msgspec.json.format(msgspec.json.encode(document())) + b"\n")
