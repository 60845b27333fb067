"""The static side of a page: its document, its one script, and the headers that let nothing else run.

A page is one document with its style inside, and one script under a name and hash of its own. Both come from the
package and are read once. The policy names their hashes, so whatever is injected does not run (PCI DSS 6.4.3, 11.6.1).
"""

import gzip
from base64 import b64encode
from hashlib import sha384
from importlib import resources
from typing import Final, Self

from msgspec import Struct

from tallystick.channels.model import PageKind

HTML: Final = "text/html; charset=utf-8"
SCRIPT: Final = "text/javascript; charset=utf-8"
DONE: Final = "done.html"
PLACE: Final = "static"
FIXED: Final = {
    "cache-control": "no-store",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "origin-agent-cluster": "?1",
    "permissions-policy": "camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), payment=()",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
CLEAR: Final = {"clear-site-data": '"cache", "cookies", "storage"'}


class StaticFile(Struct, frozen=True, kw_only=True):
    """One file as it is served: its bytes, the same compressed, and its headers."""

    body: bytes
    compressed: bytes
    headers: dict[str, str]

    @classmethod
    def of(cls, body: bytes, headers: dict[str, str]) -> Self:
        """Compress once; what is public and fixed gives no compression attack anything to learn."""
        return cls(body=body, compressed=gzip.compress(body, 9, mtime=0), headers={**FIXED, **headers})


class PageFiles(Struct, frozen=True, kw_only=True):
    """All that one page's origin serves without a session, by path."""

    files: dict[str, StaticFile]

    @classmethod
    def load(cls, kind: PageKind) -> Self:
        """Read the page's files out of the package."""
        document, script, done = (packaged(name) for name in (f"{kind.value}.html", f"{kind.value}.js", DONE))
        page = {"content-type": HTML, "content-security-policy": policy(document, script)}
        end = {"content-type": HTML, "content-security-policy": policy(done, None), **CLEAR}
        return cls(
            files={
                "/": StaticFile.of(document, page),
                "/join": StaticFile.of(document, page),
                f"/{kind.value}.js": StaticFile.of(script, {"content-type": SCRIPT}),
                "/done": StaticFile.of(done, end),
            }
        )


def packaged(name: str) -> bytes:
    """Read one packaged file of the pages."""
    return (resources.files("tallystick.service.pages") / PLACE / name).read_bytes()


def integrity(content: bytes) -> str:
    """Return the Subresource Integrity value of a file: sha384 in base64."""
    return f"sha384-{b64encode(sha384(content).digest()).decode()}"


def style_of(document: bytes) -> bytes:
    """Return the one style sheet inside a document."""
    return document.partition(b"<style>")[2].partition(b"</style>")[0]


def policy(document: bytes, script: bytes | None) -> str:
    """Return a document's Content-Security-Policy: its own style and script by hash, its own origin, nothing else."""
    allowed = f"'{integrity(script)}'" if script is not None else "'none'"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {allowed}",
            f"style-src '{integrity(style_of(document))}'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
