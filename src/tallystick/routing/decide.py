"""Decide the back end from facts: institution id, issuer number, or account scheme (patent claims 3, 5, 11)."""

from tallystick.assembly.facts import RoutingFacts
from tallystick.errors import NoRoute
from tallystick.routing.model import BackEnd, Decision, IssuerRule, RoutingTable, Status

_PREFERENCE = {"CNY": "unionpay"}
"""A co-badged card goes to this scheme when the order is in this currency; else to the scheme its rule names first."""


def decide(facts: RoutingFacts, table: RoutingTable) -> Decision:
    """Rank the back ends that may get this credential, best first.

    Only ACTIVE ones are candidates; the reason tells why each other one is not. Raises NoRoute when the table knows no
    back end for these facts at all; a decision without candidates means that all of them are away just now.
    """
    if facts.institution is not None:
        reason, served = _by_institution(facts.institution, table)
        schemes: tuple[str, ...] = ()
    else:
        schemes, reason = _schemes(facts, table)
        served = tuple(back_end for back_end in table.back_ends if back_end.schemes & set(schemes))
    if facts.allowed:
        served = tuple(back_end for back_end in served if back_end.id in facts.allowed)
        reason += f"; the payment allows {len(facts.allowed)} back ends"
    served = tuple(b for b in served if not b.currencies or facts.currency in b.currencies)
    if not served:
        raise NoRoute(f"no back end serves this payment: {reason}; currency {facts.currency}")
    ranked = sorted(served, key=lambda back_end: _rank(back_end, schemes))
    away = tuple(f"{b.name} ({b.id}) is {b.status}" for b in ranked if b.status is not Status.ACTIVE)
    candidates = tuple(b for b in ranked if b.status is Status.ACTIVE)
    order = " then ".join(f"{b.name} ({b.id}) priority {b.priority}" for b in candidates) or "no candidate is active"
    return Decision(version=table.version, candidates=candidates, reason=(reason, *away, order))


def longest_rule(issuer: str, rules: tuple[IssuerRule, ...]) -> IssuerRule | None:
    """Return the rule with the longest prefix of these leading digits."""
    matching = [rule for rule in rules if issuer.startswith(rule.prefix)]
    return max(matching, key=lambda rule: len(rule.prefix), default=None)


def _by_institution(institution: str, table: RoutingTable) -> tuple[str, tuple[BackEnd, ...]]:
    return f"institution id {institution}", tuple(b for b in table.back_ends if b.id == institution)


def _schemes(facts: RoutingFacts, table: RoutingTable) -> tuple[tuple[str, ...], str]:
    if facts.scheme is not None:
        return (facts.scheme,), f"account scheme {facts.scheme}"
    rule = longest_rule(facts.issuer or "", table.issuer_rules)
    if rule is None:
        return (), "no issuer rule matches the card number"
    preferred = _PREFERENCE.get(facts.currency)
    schemes = tuple(sorted(rule.schemes, key=lambda scheme: scheme != preferred))
    return schemes, f"issuer rule {rule.prefix} gives {', '.join(schemes)}"


def _rank(back_end: BackEnd, schemes: tuple[str, ...]) -> tuple[int, int, str]:
    best = min((schemes.index(scheme) for scheme in back_end.schemes if scheme in schemes), default=0)
    return best, back_end.priority, back_end.id
