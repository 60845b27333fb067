"""Build the payers' pages out of `web/` and `sdk/js/`, and write the inventory of what they may run (PCI DSS 6.4.3).

`python tools/build_pages.py` writes the files; with `--check` it only says whether they are current.
"""

import json
import re
import sys
from pathlib import Path

from tallystick.channels.model import PageKind
from tallystick.service.pages.files import DONE, FIXED, integrity, style_of
from tallystick.service.pages.inventory import INVENTORY, headers_of

ROOT = Path(__file__).parents[1]
WEB, SDK = ROOT / "web", ROOT / "sdk" / "js"
STATIC = ROOT / "src" / "tallystick" / "service" / "pages" / "static"
SDK_FILES = ("hpke.js", "tallystick.js")
PURPOSES = {
    "hpke.js": "seal what is typed before it leaves the browser (npm hpke 1.1.7, MIT, unchanged)",
    "tallystick.js": "sign requests and derive the session's keys",
    "texts.js": "every text in each language",
    "common.js": "session, forms, requests that survive a lost connection",
    "join.js": "sign-up",
    "pc.js": "the PC page",
    "phone.js": "the phone page",
}
IMPORT = re.compile(r'^import \{[^}]*\} from "\./[a-z]+\.js";\n', re.MULTILINE)


def sources(kind: PageKind) -> dict[str, bytes]:
    """Return the script files of a page in the order they stand in its bundle."""
    own = ("texts.js", "common.js", "join.js", f"{kind.value}.js")
    return {name: (SDK / name).read_bytes() for name in SDK_FILES} | {name: (WEB / name).read_bytes() for name in own}


def bundle(kind: PageKind) -> bytes:
    """Join a page's files into one module; nothing is changed but the imports between them, which go."""
    return b"\n".join(IMPORT.sub("", content.decode()).encode() for content in sources(kind).values())


def build() -> dict[str, bytes]:
    """Return every built file by name."""
    style = (WEB / "page.css").read_text().strip()
    built = {DONE: (WEB / DONE).read_text().replace("@STYLE@", style).encode()}
    template = (WEB / "page.html").read_text().replace("@STYLE@", style)
    for kind in PageKind:
        script = bundle(kind)
        page = template.replace("@NAME@", kind.value).replace("@INTEGRITY@", integrity(script))
        built |= {f"{kind.value}.js": script, f"{kind.value}.html": page.encode()}
    return built | {INVENTORY: inventory(built)}


def inventory(built: dict[str, bytes]) -> bytes:
    """Return the inventory: what each page runs, why, under which hash and headers."""
    pages = {}
    for kind in PageKind:
        document, script = built[f"{kind.value}.html"], built[f"{kind.value}.js"]
        pages[kind.value] = {
            "document": {"path": "/", "integrity": integrity(document), "headers": headers_of(document, script)},
            "style": {"inline": True, "integrity": integrity(style_of(document))},
            "scripts": [
                {
                    "path": f"/{kind.value}.js",
                    "integrity": integrity(script),
                    "owner": "Tallystick",
                    "headers": dict(FIXED),
                    "made_of": [
                        {"file": name, "integrity": integrity(content), "purpose": PURPOSES[name]}
                        for name, content in sources(kind).items()
                    ],
                }
            ],
        }
    return (json.dumps({"version": 1, "pages": pages}, indent=2) + "\n").encode()


def main() -> int:
    """Write what is not current, or with `--check` name it."""
    STATIC.mkdir(exist_ok=True)
    stale = [name for name, body in build().items() if not _same(STATIC / name, body)]
    if "--check" in sys.argv:
        print("\n".join(stale) or "current")
        return 1 if stale else 0
    for name, body in build().items():
        (STATIC / name).write_bytes(body)
    return 0


def _same(path: Path, body: bytes) -> bool:
    return path.exists() and path.read_bytes() == body


if __name__ == "__main__":
    sys.exit(main())
