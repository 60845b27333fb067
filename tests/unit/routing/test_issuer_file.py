"""Issuer rules from files: the set that ships, and an operator's own with its mistakes named by line."""

import json
from collections.abc import Callable
from importlib import resources

import pytest

from tallystick.errors import FieldInvalid, TallystickError, TooLarge
from tallystick.routing import issuer_file
from tallystick.routing.issuer_file import FILE_MAX, read_rules, shipped_rules
from tallystick.routing.issuers import IssuerIndex, IssuerRule
from tallystick.routing.table import RULES_MAX

CSV = b"low,high,schemes\n62,,unionpay\n222100,272099,mastercard\n439225,439225,unionpay visa\n"


def rule(low: str, high: str, *schemes: str, source: str = "own") -> IssuerRule:
    return IssuerRule(low=low, high=high, schemes=schemes, source=source)


EXPECTED = (
    rule("62", "62", "unionpay"),
    rule("222100", "272099", "mastercard"),
    rule("439225", "439225", "unionpay", "visa"),
)


def scheme_of(issuer: str) -> tuple[str, ...] | None:
    (owner,) = IssuerIndex(shipped_rules()).owners(issuer)
    return None if owner is None else owner.schemes


@pytest.mark.parametrize(
    ("issuer", "schemes"),
    [
        ("620000000", ("unionpay",)),
        ("621830000", ("unionpay",)),  # a gap of the source, in UnionPay's allocation all the same
        ("625094700", ("unionpay",)),
        ("810000000", ("unionpay",)),
        ("817199992", ("unionpay",)),
        ("817200000", None),
        ("627780000", ("elo",)),
        ("424242424", ("visa",)),
        ("439225000", ("unionpay", "visa")),
        ("486497000", ("unionpay", "visa")),
        ("401178000", ("elo",)),
        ("222100000", ("mastercard",)),
        ("271999999", ("mastercard",)),
        ("555555555", ("mastercard",)),
        ("378282246", ("american-express",)),
        ("305693090", ("diners-club",)),
        ("601111111", ("discover",)),
        ("352800000", ("jcb",)),
        ("979200000", ("troy",)),
        ("220000000", ("mir",)),
        ("506099000", ("verve",)),
        ("675964982", ("maestro",)),
        ("990000000", None),
    ],
)
def test_the_shipped_ranges_know_published_numbers(issuer: str, schemes: tuple[str, ...] | None) -> None:
    assert schemes == scheme_of(issuer)


def test_every_shipped_range_names_its_source_and_the_file_the_licence_of_it() -> None:
    file = json.loads((resources.files("tallystick.routing") / "data" / "issuer_ranges.json").read_bytes())
    assert ("credit-card-type 10.3.0", "MIT") == (file["source"], file["licence"])
    assert "The above copyright notice and this permission notice shall be included" in file["notice"]
    sources = {each.source for each in shipped_rules()}
    assert file["source"] in sources
    assert 3 == len(sources)


@pytest.mark.parametrize(
    "content",
    [
        CSV,
        CSV.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + CSV,
        b"schemes,low,high\nunionpay,62,62\nmastercard,222100,272099\nunionpay  visa,439225,\n",
        CSV.replace(b"62,,unionpay\n", b"62,,unionpay\n62,62,unionpay\n"),
        json.dumps(
            [
                {"prefix": "62", "schemes": ["unionpay"]},
                {"low": "222100", "high": "272099", "schemes": ["mastercard"]},
                {"low": "439225", "schemes": ["unionpay", "visa"]},
            ]
        ).encode(),
    ],
    ids=["csv", "lines of windows", "byte order mark", "columns in another order", "twice the same", "json"],
)
def test_each_form_of_a_file_gives_the_same_rules(content: bytes) -> None:
    assert EXPECTED == read_rules("own", content)


def test_a_source_of_a_line_comes_before_that_of_the_file_and_that_before_the_files_name() -> None:
    ranges = [{"prefix": "1", "schemes": ["jcb"], "source": "a letter"}, {"prefix": "2", "schemes": ["mir"]}]
    named = json.dumps({"source": "a list", "licence": "own", "ranges": ranges}).encode()
    assert ["a letter", "a list"] == [each.source for each in read_rules("own", named)]
    assert ["a letter", "own"] == [each.source for each in read_rules("own", json.dumps(ranges).encode())]
    columns = b"low,high,schemes,source\n1,1,jcb,a letter\n2,2,mir,\n"
    assert ["a letter", "own"] == [each.source for each in read_rules("own", columns)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"low,high,schemes\n62,62,unionpay\n6222021234,6222021234,visa\n", "line 3: a range has 1 to 9 digits"),
        (b"low,high,schemes\n62,6,unionpay\n", "line 2: a range begins and ends with as many digits"),
        (b"low,high,schemes\n63,62,unionpay\n", "line 2: a range begins and ends"),
        (b"low,high,schemes\n,,unionpay\n", "line 2: a range has 1 to 9 digits"),
        (b"low,high,schemes\n6a,6a,unionpay\n", "line 2: a range has 1 to 9 digits"),
        ("low,high,schemes\n\u0661,\u0661,unionpay\n".encode(), "line 2: a range has 1 to 9 digits"),
        (b"low,high,schemes\n62,62,\n", "line 2: name one or more schemes"),
        (b"low,high,schemes\n62,62,visa visa\n", "line 2: name one or more schemes"),
        (b"low,high,schemes\n62,62,Visa\n", "line 2: name one or more schemes"),
        (b"low,high,schemes\n62,62\n", "line 2: as many columns"),
        (b"low,high,schemes\n62,62,visa,more\n", "line 2: as many columns"),
        (b"low,high,schemes\n62,62,visa\n5,5,jcb\n620,629,unionpay\n", "line 4: 620-629 has other schemes in line 2"),
        (b"low,high,schemes\n", "holds no issuer rules"),
        (b"", "the first line names the columns"),
        (b"from,to,schemes\n1,2,visa\n", "the first line names the columns"),
        (b"low,high,schemes\n1,2,\xff\n", "cannot be read as CSV"),
        (b'low,high,schemes\n1,"2,visa\n', "cannot be read as CSV"),
        (b'[{"prefix": "62", "low": "62", "schemes": ["visa"]}]', "entry 1: give low and high, or prefix"),
        (b'[{"schemes": ["visa"]}]', "entry 1: give low and high, or prefix"),
        (b'[{"prefix": "62", "schemes": ["visa"], "sheme": "x"}]', "holds no issuer rules"),
        (b'[{"prefix": 62, "schemes": ["visa"]}]', "holds no issuer rules"),
        (b"[]", "holds no issuer rules"),
        (b"[", "holds no issuer rules"),
        (b'[{"prefix": "1", "schemes": ["visa"], "source": "a\\u001bb"}]', "entry 1: a source has at most"),
    ],
)
def test_a_mistake_is_named_with_its_place(content: bytes, said: str) -> None:
    with pytest.raises(FieldInvalid) as refusal:
        read_rules("own.csv", content)
    assert refusal.value.detail.startswith("own.csv")
    assert said in refusal.value.detail


def too_many(count: int) -> bytes:
    lines = (f"{number:09d},,visa" for number in range(count))
    return "\n".join(["low,high,schemes", *lines]).encode()


@pytest.mark.parametrize("content", [lambda: b" " * (FILE_MAX + 1), lambda: too_many(RULES_MAX + 1)])
def test_a_file_beyond_its_bounds_is_refused(content: Callable[[], bytes]) -> None:
    with pytest.raises(TooLarge):
        read_rules("own", content())


def test_a_file_at_its_bound_is_taken() -> None:
    assert RULES_MAX == len(read_rules("own", too_many(RULES_MAX)))


def test_the_reader_lets_only_its_own_errors_out() -> None:
    for content in (b"\x00", b"\xff\xfe", b'"', b"{}", b'{"ranges": null}', b"[[]]", b"low,schemes\n1,\x00"):
        with pytest.raises(TallystickError):
            issuer_file.read_rules("own", content)
