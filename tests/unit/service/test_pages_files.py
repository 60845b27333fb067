"""The pages' files: current, small, and served so that nothing else runs."""

import gzip
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from msgspec.structs import replace

from tallystick.adapters.page_probe import Received
from tallystick.channels.model import PageKind
from tallystick.service.pages.files import PageFiles, integrity, packaged
from tallystick.service.pages.inventory import differences, listed

ROOT = Path(__file__).parents[3]
PAGE_MAX = 50_000  # bytes of one page as it travels: document and script, compressed


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_pages", ROOT / "tools" / "build_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def served(kind: PageKind, path: str) -> Received:
    file = PageFiles.load(kind).files[path]
    return Received(200, file.headers, file.body)


def test_the_packaged_pages_and_their_inventory_are_what_their_sources_give() -> None:
    assert [] == [name for name, body in builder().build().items() if body != packaged(name)]


@pytest.mark.parametrize("kind", PageKind)
def test_a_page_travels_in_50_kb(kind: PageKind) -> None:
    files = PageFiles.load(kind).files
    assert sum(len(files[path].compressed) for path in ("/", f"/{kind.value}.js")) <= PAGE_MAX


@pytest.mark.parametrize("kind", PageKind)
def test_a_page_lets_only_its_own_style_and_script_run(kind: PageKind) -> None:
    document = served(kind, "/")
    rules = dict(rule.split(" ", 1) for rule in document.headers["content-security-policy"].split("; "))
    assert "'none'" == rules["default-src"]
    assert f"'{integrity(served(kind, f'/{kind.value}.js').body)}'" == rules["script-src"]
    assert "unsafe" not in document.headers["content-security-policy"]
    assert "'script'" == rules["require-trusted-types-for"]
    assert "no-store" == document.headers["cache-control"]
    assert "same-origin" == document.headers["cross-origin-opener-policy"]
    assert "no-referrer" == document.headers["referrer-policy"]


@pytest.mark.parametrize("kind", PageKind)
def test_a_page_names_nobody_else(kind: PageKind) -> None:
    own = builder().sources(kind)
    text = served(kind, "/").body.decode() + "".join(
        content.decode() for name, content in own.items() if name != "hpke.js"
    )
    addresses = set(re.findall(r"https?://[^\s\"'`)]+", text))
    assert {"http://www.w3.org/2000/svg"} == addresses
    assert [] == re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text)


def test_the_last_page_makes_the_browser_forget() -> None:
    done = served(PageKind.PHONE, "/done")
    assert '"cache", "cookies", "storage"' == done.headers["clear-site-data"]
    assert "script-src 'none'" in done.headers["content-security-policy"]


def test_a_page_as_it_is_served_is_the_one_in_the_inventory() -> None:
    for kind in PageKind:
        assert [] == [found for file in listed(kind).files() for found in differences(file, served(kind, file.path))]


def test_any_change_of_content_or_header_is_found() -> None:
    file = listed(PageKind.PC).document
    good = served(PageKind.PC, "/")
    loose = {**good.headers, "content-security-policy": "default-src 'self'"}
    missing = {name: value for name, value in good.headers.items() if name != "referrer-policy"}
    assert ["/: content differs from the inventory"] == differences(file, replace(good, body=good.body + b"<!-- -->"))
    assert ["/: header content-security-policy differs from the inventory"] == differences(
        file, replace(good, headers=loose)
    )
    assert ["/: header referrer-policy differs from the inventory"] == differences(file, replace(good, headers=missing))
    assert "/: status 302" in differences(file, replace(good, status=302))


def test_what_is_vendored_is_what_was_published() -> None:
    published = "sha384-L7pk18N34BnxsoQfNolTinAvWTgLE/AnlE2kN5rXAbnUUbWMJwbXmSaNjUXM4SyX"
    assert published == integrity((ROOT / "sdk" / "js" / "hpke.js").read_bytes())


def test_the_compressed_file_is_the_file() -> None:
    for file in PageFiles.load(PageKind.PC).files.values():
        assert file.body == gzip.decompress(file.compressed)


def texts(language: str) -> dict[str, set[str]]:
    """Return the texts of a language by key, as the places in them for values."""
    script = (ROOT / "web" / "texts.js").read_text()
    block = re.split(rf'^  "?{language}"?: {{$', script, flags=re.MULTILINE)[1].partition("\n  },")[0]
    return {key: set(re.findall(r"\{\w+\}", text)) for key, text in re.findall(r'(\w+): "([^"]*)"', block)}


@pytest.mark.parametrize("language", ["zh-CN", "ar"])
def test_every_text_is_in_every_language_with_the_same_values(language: str) -> None:
    assert len(texts("en")) > 100
    assert texts("en") == texts(language)
