"""Split policies: unsafe ones never load; a part fits exactly one place; a whole is complete or it is not."""

import pytest

from tallystick import limits
from tallystick.assembly.facts import CredentialKind
from tallystick.assembly.model import PartShape, SplitPolicy
from tallystick.assembly.policy import BUILT_IN, check_part, find, is_complete, load, share_field
from tallystick.errors import FieldInvalid, Misconfigured, PolicyUnknown

TABLE = load(BUILT_IN)
PAN, PIN = PartShape(frozenset({"pan"})), PartShape(frozenset({"pin_block"}))


def own(
    *parts: PartShape, shares: int = 0, kind: CredentialKind = CredentialKind.CARD, name: str = "own"
) -> SplitPolicy:
    return SplitPolicy(name=name, kind=kind, parts=parts, shares=shares)


def names(*fields: str) -> frozenset[str]:
    return frozenset(fields)


@pytest.mark.parametrize(
    "policy",
    [
        own(),
        own(PAN),
        own(PAN, PIN, shares=2),
        own(shares=1),
        own(shares=-2),
        own(shares=limits.PARTS_MAX + 1),
        own(PAN, PartShape(frozenset())),
        own(PAN, PartShape(frozenset(), frozenset({"pin_block"}))),
        own(PAN, PartShape(names("cvc"))),
        own(PAN, PartShape(names("order"))),
        own(PAN, PartShape(names("share"))),
        own(PAN, PAN),
        own(PAN, PartShape(names("pin_block"), names("pan"))),
        own(PIN, PartShape(names("expiry"))),
        own(PartShape(names("account")), PIN, kind=CredentialKind.ACCOUNT),
        own(PartShape(names("username")), PIN, kind=CredentialKind.LOGIN),
        own(PAN, PIN, name="card"),
    ],
    ids=str,
)
def test_an_unsafe_policy_never_loads(policy: SplitPolicy) -> None:
    with pytest.raises(Misconfigured):
        load((*BUILT_IN, policy))


@pytest.mark.parametrize("policy", [own(PAN, PIN), own(shares=2), own(shares=limits.PARTS_MAX)], ids=str)
def test_a_safe_policy_of_the_operator_loads_beside_the_built_in_ones(policy: SplitPolicy) -> None:
    assert policy is find(load((*BUILT_IN, policy)), "own")


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(PolicyUnknown):
        find(TABLE, "cards")


@pytest.mark.parametrize(
    ("policy", "fields", "fits"),
    [
        ("card", names("pan", "expiry"), True),
        ("card", names("pan"), True),
        ("card", names("expiry"), False),
        ("card", names("pin_block"), True),
        ("card", names("pan", "expiry", "pin_block"), False),
        ("card", names(), False),
        ("card", names("password"), False),
        ("card-3", names("pan"), True),
        ("card-3", names("pan", "expiry"), False),
        ("card-shares-2", names(share_field(1)), True),
        ("card-shares-2", names(share_field(3)), False),
        ("card-shares-2", names(share_field(0)), False),
        ("card-shares-2", names(share_field(1), share_field(2)), False),
        ("card-shares-2", names("pan"), False),
        ("card", names(share_field(1)), False),
    ],
)
def test_a_part_fits_exactly_one_place_of_its_policy(policy: str, fields: frozenset[str], fits: bool) -> None:  # noqa: FBT001
    if fits:
        check_part(TABLE[policy], fields)
    else:
        with pytest.raises(FieldInvalid):
            check_part(TABLE[policy], fields)


def test_a_set_is_complete_only_with_every_part() -> None:
    card = [names("pan", "expiry"), names("pin_block")]
    assert is_complete(TABLE["card"], card)
    assert not is_complete(TABLE["card"], [card[0], card[0]])
    assert not is_complete(TABLE["card"], card[:1])
    assert not is_complete(TABLE["card"], [])
    three = [names(share_field(index)) for index in (1, 2, 3)]
    assert is_complete(TABLE["card-shares-3"], three[::-1])
    assert not is_complete(TABLE["card-shares-3"], [*three[:2], three[0]])


def test_an_optional_field_may_be_left_out() -> None:
    policy = own(PartShape(names("pan"), names("expiry")), PIN)
    for fields in (names("pan"), names("pan", "expiry")):
        check_part(policy, fields)
        assert is_complete(policy, [fields, names("pin_block")])
