"""Secrets that everybody knows: keys of standards, and words that documents and examples use."""

from itertools import pairwise
from typing import Final

STEPS_MAX: Final = 4  # different steps between neighbouring bytes; 16 random bytes have more but once in 10**18
DEFAULT_WORDS: Final = frozenset(
    {
        "12345678",
        "admin",
        "bamboo-kettle-92",  # the demo's payer
        "change-me",
        "changeit",
        "changeme",
        "default",
        "demo",
        "example",
        "guest",
        "letmein",
        "password",
        "postgres",
        "root",
        "secret",
        "tallystick",
        "test",
        "token",
    }
)
PUBLISHED_KEYS: Final = frozenset(
    bytes.fromhex(key)
    for key in (
        "2B7E151628AED2A6ABF7158809CF4F3C",  # FIPS 197, NIST SP 800-38A and 38B, RFC 4493
        "8E73B0F7DA0E6452C810F32B809079E562F8EAD2522C6B7B",  # NIST SP 800-38A
        "603DEB1015CA71BE2B73AEF0857D77811F352C073B6108D72D9810A30914DFF4",  # NIST SP 800-38A
        "0123456789ABCDEFFEDCBA9876543210",  # ANSI X9.24 base derivation key
        "FEDCBA98765432100123456789ABCDEF",  # its mirror image, in many terminals' manuals
        "FEDCBA9876543210F1F1F1F1F1F1F1F1",  # ANSI X9.24-3 AES DUKPT
        "C1D0F8FB4958670DBA40AB1F3752EF0D",  # ISO 9564-1 annex, format 4
        "89E88CF7931444F334BD7547FC3F380C",  # ANSI X9.143 key block protection key
        "DD7515F2BFC17F85CE48F3CA25CB21F6",  # ANSI X9.143 key block protection key
        "88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6",  # ANSI X9.143, version D
    )
)


def is_published(key: bytes) -> bool:
    """Tell whether a key of 16 bytes or more stands in a standard, or is so regular that somebody typed it."""
    return key in PUBLISHED_KEYS or len({(second - first) % 256 for first, second in pairwise(key)}) <= STEPS_MAX


def is_default(text: str) -> bool:
    """Tell whether a password or token is a word that documents, examples or other programs begin with."""
    return text.strip().casefold() in DEFAULT_WORDS
