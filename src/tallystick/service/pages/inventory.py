"""The inventory of what the pages run, and the comparison of a served page with it (PCI DSS 6.4.3, 11.6.1)."""

from typing import Final

import msgspec
from msgspec import Struct

from tallystick.adapters.page_probe import Received
from tallystick.channels.model import PageKind
from tallystick.service.pages.files import FIXED, HTML, integrity, packaged, policy

INVENTORY: Final = "pages-inventory.json"


class ListedFile(Struct, frozen=True):
    """One file of a page as the inventory has it; other members are for people."""

    path: str
    integrity: str
    headers: dict[str, str]


class ListedPage(Struct, frozen=True):
    """One page."""

    document: ListedFile
    scripts: tuple[ListedFile, ...]

    def files(self) -> tuple[ListedFile, ...]:
        """Return all files in the order a browser asks for them."""
        return (self.document, *self.scripts)


class Inventory(Struct, frozen=True):
    """All pages by kind."""

    version: int
    pages: dict[str, ListedPage]


def read_inventory() -> Inventory:
    """Return the inventory that this release ships."""
    return msgspec.json.decode(packaged(INVENTORY), type=Inventory)


def headers_of(document: bytes, script: bytes) -> dict[str, str]:
    """Return the headers a document is served with."""
    return {**FIXED, "content-type": HTML, "content-security-policy": policy(document, script)}


def listed(kind: PageKind) -> ListedPage:
    """Return what the inventory says of one page."""
    return read_inventory().pages[kind.value]


def differences(file: ListedFile, received: Received) -> list[str]:
    """Say where a received file is not the listed one: status, content, or a header that browsers act on."""
    found = [] if received.status == 200 else [f"{file.path}: status {received.status}"]  # noqa: PLR2004 - OK
    if integrity(received.body) != file.integrity:
        found.append(f"{file.path}: content differs from the inventory")
    for name, value in file.headers.items():
        if received.headers.get(name) != value:
            found.append(f"{file.path}: header {name} differs from the inventory")
    return found
