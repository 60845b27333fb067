"""Decide the back end from facts: institution id, issuer number, or account scheme (patent claims 3, 5, 11)."""

from msgspec import Struct

from tallystick.assembly.facts import RoutingFacts
from tallystick.errors import NoRoute
from tallystick.routing.issuers import IssuerRule
from tallystick.routing.model import BackEnd, Decision, RoutingTable, Status


class Brands(Struct, frozen=True, kw_only=True):
    """The schemes a payment may go by, best first, why, and the issuer rule they come from.

    None in place of schemes: they do not matter, the institution was named.
    """

    schemes: tuple[str, ...] | None
    reason: tuple[str, ...]
    rule: IssuerRule | None = None


def decide(facts: RoutingFacts, table: RoutingTable) -> Decision:
    """Rank the back ends that may get this credential, best first.

    Only ACTIVE ones are candidates; the reason tells why each other one is not. Raises NoRoute when the table knows no
    back end for these facts at all; a decision without candidates means that all of them are away just now.
    """
    brands = brands_of(facts, table)
    ranked = fallback_order(facts, table, brands)
    if not ranked:
        allowed = f"; the payment allows {len(facts.allowed)} back ends" if facts.allowed else ""
        raise NoRoute(f"no back end serves this payment: {'; '.join(brands.reason)}{allowed}; {facts.currency}")
    away = tuple(f"{b.name} ({b.id}) is {b.status}" for b in ranked if b.status is not Status.ACTIVE)
    candidates = tuple(b for b in ranked if b.status is Status.ACTIVE)
    order = " then ".join(f"{b.name} ({b.id}) priority {b.priority}" for b in candidates) or "no candidate is active"
    return Decision(version=table.version, candidates=candidates, reason=(*brands.reason, *away, order))


def fallback_order(facts: RoutingFacts, table: RoutingTable, brands: Brands) -> tuple[BackEnd, ...]:
    """Return the back ends that serve these facts, best first, whatever their status.

    A better scheme comes before a smaller priority, that before a smaller id; each is the fallback of the one before.
    """
    served = (back_end for back_end in table.back_ends if obstacle(back_end, facts, brands) is None)
    return tuple(sorted(served, key=lambda back_end: _rank(back_end, brands.schemes or ())))


def obstacle(back_end: BackEnd, facts: RoutingFacts, brands: Brands) -> str | None:
    """Say why a back end does not serve these facts, whatever its status; None when it does."""
    if brands.schemes is None:
        if back_end.id != facts.institution:
            return "another institution is named"
    elif not back_end.schemes & set(brands.schemes):
        return f"serves {', '.join(sorted(back_end.schemes)) or 'no scheme'}"
    if facts.sandbox is not back_end.sandbox:
        return "is a sandbox, for test mode only" if back_end.sandbox else "is no sandbox: test mode never reaches it"
    if facts.allowed and back_end.id not in facts.allowed:
        return "is not among those the payment allows"
    if back_end.currencies and facts.currency not in back_end.currencies:
        return f"does not take {facts.currency}"
    return None


def brands_of(facts: RoutingFacts, table: RoutingTable) -> Brands:
    """Find the schemes: an account names its own, a card has those of the narrowest issuer rule.

    The brand that the payer chose of them is binding: no other one is charged in its place. Without it the order's
    currency decides which comes first, then the rule.
    """
    if facts.institution is not None:
        return Brands(schemes=None, reason=(f"institution id {facts.institution}",))
    if facts.scheme is not None:
        return Brands(schemes=(facts.scheme,), reason=(f"account scheme {facts.scheme}",))
    rule = issuer_rule(facts.issuer or "", table)
    if rule is None:
        return Brands(schemes=(), reason=("no issuer rule matches the card number",))
    matched = f"issuer rule {rule.words} gives {', '.join(rule.schemes)}"
    if facts.brand is not None and facts.brand in rule.schemes:
        return Brands(schemes=(facts.brand,), reason=(matched, f"the payer chose {facts.brand}"), rule=rule)
    reason = (matched,) if facts.brand is None else (matched, "the payer's brand is none of this card's: ignored")
    preferred = next((each.schemes for each in table.preferences if each.currency == facts.currency), ())
    first = tuple(scheme for scheme in preferred if scheme in rule.schemes)
    schemes = (*first, *(scheme for scheme in rule.schemes if scheme not in first))
    if schemes != rule.schemes:
        reason = (*reason, f"orders in {facts.currency} go by {', '.join(schemes)}")
    return Brands(schemes=schemes, reason=reason, rule=rule)


def issuer_rule(issuer: str, table: RoutingTable) -> IssuerRule | None:
    """Return the narrowest rule these leading digits lie in; None too when they are too few to tell."""
    owners = table.index.owners(issuer) if issuer else ()
    return owners[0] if len(owners) == 1 else None


def _rank(back_end: BackEnd, schemes: tuple[str, ...]) -> tuple[int, int, str]:
    best = min((schemes.index(scheme) for scheme in back_end.schemes if scheme in schemes), default=0)
    return best, back_end.priority, back_end.id
