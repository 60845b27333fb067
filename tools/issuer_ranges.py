"""Write src/tallystick/routing/data/issuer_ranges.json from the card types of npm's credit-card-type (MIT).

node -p 'JSON.stringify(require("credit-card-type/dist/lib/card-types"))' | python tools/issuer_ranges.py 10.3.0
"""

import json
import sys
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "src" / "tallystick" / "routing" / "data" / "issuer_ranges.json"
NOTICE = """\
Copyright (c) 2009-2018 Braintree, a division of PayPal, Inc. Permission is hereby granted, free of charge, to any \
person obtaining a copy of this software and associated documentation files (the "Software"), to deal in the Software \
without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, \
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, \
subject to the following conditions: The above copyright notice and this permission notice shall be included in all \
copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, \
EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE \
AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER \
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE \
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
OWN = "UnionPay's allocation, ISO/IEC 7812-1"
CO_BADGED = "Chinese VISA cards as in PyPI's cardbin 1.0.0 (MIT)"
ADDED = (
    {"low": "62", "high": "62", "schemes": ["unionpay"], "source": OWN},
    {"low": "8100", "high": "8171", "schemes": ["unionpay"], "source": OWN},
    {"low": "439225", "high": "439225", "schemes": ["unionpay", "visa"], "source": CO_BADGED},
    {"low": "486497", "high": "486497", "schemes": ["unionpay", "visa"], "source": CO_BADGED},
)


def ranges(card_types: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a range for each pattern, in the order of their digits; a pattern is a prefix or a pair of them."""
    found = [
        {"low": str(low), "high": str(high), "schemes": [scheme]}
        for scheme, card_type in card_types.items()
        for pattern in card_type["patterns"]
        for low, high in [pattern if isinstance(pattern, list) else (pattern, pattern)]
    ]
    return sorted([*found, *ADDED], key=lambda row: (row["low"].ljust(9, "0"), len(row["low"]), row["schemes"]))


def main() -> None:
    """Read the card types from standard input and write the file, one range a line."""
    head = {"source": f"credit-card-type {sys.argv[1]}", "licence": "MIT", "notice": NOTICE}
    lines = ",\n    ".join(json.dumps(row) for row in ranges(json.load(sys.stdin)))
    body = json.dumps(head, indent=2).removesuffix("\n}")
    FILE.write_text(f'{body},\n  "ranges": [\n    {lines}\n  ]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
