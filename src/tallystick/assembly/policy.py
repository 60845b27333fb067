"""Split policies: which fields make up each part, and when a set is complete (patent claims 1, 6, 8).

A policy is data. The ones below are built in; an operator adds more in the settings, checked by the same rules.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from tallystick import limits
from tallystick.assembly.facts import CredentialKind
from tallystick.assembly.model import PartShape, SplitPolicy
from tallystick.errors import FieldInvalid, Misconfigured, PolicyUnknown
from tallystick.security.fields import FIELD_NAMES

ORDER_FIELD: Final = "order"
"""The name under which the order stands among a part's fields: rival orders are found like rival values."""


def _shape(required: str, optional: str = "") -> PartShape:
    return PartShape(frozenset(required.split()), frozenset(optional.split()))


BUILT_IN: Final = (
    SplitPolicy(
        name="card", kind=CredentialKind.CARD, parts=(_shape("pan", "expiry chip scheme"), _shape("pin_block"))
    ),
    SplitPolicy(
        name="card-3", kind=CredentialKind.CARD, parts=(_shape("pan", "scheme"), _shape("expiry"), _shape("pin_block"))
    ),
    SplitPolicy(name="account", kind=CredentialKind.ACCOUNT, parts=(_shape("account"), _shape("secret"))),
    SplitPolicy(
        name="login", kind=CredentialKind.LOGIN, parts=(_shape("username", "institution number"), _shape("password"))
    ),
    SplitPolicy(name="card-shares-2", kind=CredentialKind.CARD, shares=2),
    SplitPolicy(name="card-shares-3", kind=CredentialKind.CARD, shares=3),
    SplitPolicy(name="account-shares-2", kind=CredentialKind.ACCOUNT, shares=2),
)

_NEEDED: Final = {
    CredentialKind.CARD: frozenset({"pan"}),
    CredentialKind.ACCOUNT: frozenset({"account", "secret"}),
    CredentialKind.LOGIN: frozenset({"username", "password"}),
}


def load(policies: Iterable[SplitPolicy]) -> Mapping[str, SplitPolicy]:
    """Check policies and index them by name; raises Misconfigured for one that could never be safe."""
    table: dict[str, SplitPolicy] = {}
    for policy in policies:
        if policy.name in table:
            raise Misconfigured(f"two split policies are named {policy.name}")
        _check(policy)
        table[policy.name] = policy
    return table


def find(table: Mapping[str, SplitPolicy], name: str) -> SplitPolicy:
    """Return the policy of this name; raises PolicyUnknown."""
    try:
        return table[name]
    except KeyError as error:
        raise PolicyUnknown("no split policy has this name", field="policy") from error


def share_field(index: int) -> str:
    """Return the field name under which share `index` is filed."""
    return f"share/{index}"


def check_part(policy: SplitPolicy, fields: frozenset[str]) -> None:
    """Refuse a part whose field names do not fit exactly one part of the policy; raises FieldInvalid."""
    if policy.shares:
        if len(fields) != 1 or not fields <= _share_fields(policy):
            raise FieldInvalid("a part of this policy holds one share with an index of the policy", field="share")
        return
    if _shape_of(policy, fields) is None:
        raise FieldInvalid("these fields together are no part of this policy", field="fields")


def is_complete(policy: SplitPolicy, filed: Iterable[frozenset[str]]) -> bool:
    """Tell whether these parts, given by their field names, make the whole credential."""
    if policy.shares:
        return frozenset().union(*filed) >= _share_fields(policy)
    return {_shape_of(policy, fields) for fields in filed} >= set(policy.parts)


def _share_fields(policy: SplitPolicy) -> frozenset[str]:
    return frozenset(share_field(index) for index in range(1, policy.shares + 1))


def _shape_of(policy: SplitPolicy, fields: frozenset[str]) -> PartShape | None:
    for shape in policy.parts:
        if shape.required <= fields <= shape.required | shape.optional:
            return shape
    return None


def _check(policy: SplitPolicy) -> None:
    """Refuse an unsafe policy.

    1. Exactly one of parts and shares, two to PARTS_MAX of them: an empty policy refuses.
    2. Every part has a required field, and only known fields.
    3. No field belongs to two parts.
    4. The whole holds what its kind needs.
    """
    # 1.
    count = policy.shares or len(policy.parts)
    if bool(policy.shares) == bool(policy.parts) or not 2 <= count <= limits.PARTS_MAX:  # noqa: PLR2004 - two: a split
        raise Misconfigured(f"split policy {policy.name} must have 2 to {limits.PARTS_MAX} parts, or as many shares")
    if policy.shares:
        return
    seen: set[str] = set()
    for shape in policy.parts:
        names = shape.required | shape.optional
        # 2.
        if not shape.required or not names <= FIELD_NAMES:
            raise Misconfigured(f"split policy {policy.name} has a part without a required field, or an unknown field")
        # 3.
        if seen & names:
            raise Misconfigured(f"split policy {policy.name} has a field in two parts")
        seen |= names
    # 4.
    if not _NEEDED[policy.kind] <= seen:
        raise Misconfigured(f"split policy {policy.name} does not hold all that a {policy.kind} needs")
