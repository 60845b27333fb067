"""Keys shared among custodians."""

import secrets
from dataclasses import replace

import pytest

from tallystick.crypto import key_shares
from tallystick.crypto.key_shares import KeyShare, combine, parse, parse_all, split
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

KEY = bytes(range(32))
CEREMONY = bytes.fromhex("7f3a9c01b2d4e6f8")


@pytest.fixture
def shares() -> list[KeyShare]:
    return split(KEY, 2, 3, CEREMONY)


def test_any_two_of_three_give_the_key(shares: list[KeyShare]) -> None:
    first, second, third = shares
    assert [KEY] * 4 == [combine(each) for each in ([first, second], [third, first], [second, third], shares)]


def test_a_share_says_what_it_is_of_and_nothing_of_the_key(shares: list[KeyShare]) -> None:
    common = shares[0].ceremony
    assert ("7f3a9c01b2d4e6f8", 2, 3, False) == (common.id, common.threshold, common.total, common.rehearsal)
    assert [1, 2, 3] == [share.number for share in shares]
    assert 4 == len({common.check, *(share.check for share in shares)})
    assert KEY not in {share.value for share in shares}
    assert shares[0].value.hex() not in repr(shares[0])


def test_two_ceremonies_of_one_key_have_nothing_in_common(shares: list[KeyShare]) -> None:
    again = split(KEY, 2, 3, CEREMONY)
    assert {share.value for share in shares}.isdisjoint(share.value for share in again)


@pytest.mark.parametrize(("threshold", "total"), [(1, 3), (4, 3), (0, 0), (2, 17), (-1, 2)])
def test_a_key_is_shared_by_two_to_sixteen(threshold: int, total: int) -> None:
    with pytest.raises(Misconfigured, match="at least 2 of at most 16"):
        split(KEY, threshold, total, CEREMONY)


def test_only_a_whole_key_is_shared() -> None:
    with pytest.raises(Misconfigured, match="32 bytes"):
        split(KEY[:31], 2, 3, CEREMONY)


# As custodians hold them


def test_a_share_survives_being_written_down_and_typed(shares: list[KeyShare]) -> None:
    text = shares[1].text().reveal()
    assert 22 == text.count("-")
    assert set("ilou").isdisjoint(text.removeprefix("tks1"))
    for typed in (text, text.upper(), text.replace("-", " "), text.replace("-", ""), f"  {text.replace('0', 'O')} \n"):
        assert shares[1] == parse(Secret(typed))


def test_shares_are_found_among_lines_for_people(shares: list[KeyShare]) -> None:
    text = "".join(f"Share of a custodian\n\n{share.text().reveal()}\nKeep it.\n" for share in shares)
    assert shares == parse_all(Secret(text))
    assert [] == parse_all(Secret("nothing\n"))


def test_every_mistyped_letter_is_found(shares: list[KeyShare]) -> None:
    text = shares[0].text().reveal()
    for at in range(5, len(text)):
        wrong = "7" if text[at] != "7" else "8"
        if text[at] == "-":
            continue
        with pytest.raises(Misconfigured, match="mistyped"):
            parse(Secret(text[:at] + wrong + text[at + 1 :]))


@pytest.mark.parametrize("typed", ["", "tks1-", "tks1-0000", "tks1-" + "0000-" * 22, "tks1-ü", "x" * 88, "0" * 10_000])
def test_what_is_no_share_is_refused(typed: str) -> None:
    with pytest.raises(Misconfigured):
        parse(Secret(typed))


@pytest.mark.parametrize("change", [{"number": 0}, {"number": 4}])
def test_a_number_that_was_never_given_out_is_refused(shares: list[KeyShare], change: dict[str, int]) -> None:
    with pytest.raises(Misconfigured, match="number"):
        parse(replace(shares[0], **change).text())


@pytest.mark.parametrize(("threshold", "total"), [(1, 3), (3, 2), (2, 200)])
def test_a_ceremony_that_cannot_be_is_refused(shares: list[KeyShare], threshold: int, total: int) -> None:
    common = replace(shares[0].ceremony, threshold=threshold, total=total)
    with pytest.raises(Misconfigured, match="form"):
        parse(replace(shares[0], ceremony=common).text())


# What is refused when they come together


def test_too_few_are_told_how_many_more(shares: list[KeyShare]) -> None:
    with pytest.raises(Misconfigured, match="1 more of the 3 shares"):
        combine(shares[:1])
    with pytest.raises(Misconfigured, match="no share"):
        combine([])


def test_one_share_counts_once(shares: list[KeyShare]) -> None:
    with pytest.raises(Misconfigured, match="given twice"):
        combine([shares[0], shares[0]])


def test_shares_of_different_ceremonies_do_not_mix(shares: list[KeyShare]) -> None:
    for other in (split(KEY, 2, 3, bytes(8)), split(KEY, 2, 4, CEREMONY), split(KEY, 2, 3, CEREMONY, rehearsal=True)):
        with pytest.raises(Misconfigured, match="different ceremonies"):
            combine([shares[0], other[1]])


def test_an_altered_share_is_refused_though_its_checksum_fits(shares: list[KeyShare]) -> None:
    altered = parse(replace(shares[1], value=bytes(32)).text())
    with pytest.raises(Misconfigured, match="shares 1, 2 do not give the key"):
        combine([shares[0], altered])


def test_an_altered_check_value_is_refused(shares: list[KeyShare]) -> None:
    common = replace(shares[0].ceremony, check="00" * 5)
    altered = [parse(replace(share, ceremony=common).text()) for share in shares]
    with pytest.raises(Misconfigured, match="do not give the key"):
        combine(altered)
    with pytest.raises(Misconfigured, match="different ceremonies"):
        combine([altered[0], shares[1]])


def test_a_refusal_tells_nothing_of_a_share(shares: list[KeyShare]) -> None:
    altered = replace(shares[1], value=secrets.token_bytes(32))
    with pytest.raises(Misconfigured) as refused:
        combine([shares[0], altered])
    said = str(refused.value)
    assert not any(group in said for share in shares for group in share.text().reveal().split("-")[5:])


def test_without_the_optional_dependency_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "Crypto.Protocol", None)
    with pytest.raises(Misconfigured, match=r"tallystick\[ceremony\]"):
        key_shares.split(KEY, 2, 3, CEREMONY)
