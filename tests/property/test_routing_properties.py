"""For any table and any facts: only fitting, active back ends, ranked, by the longest matching rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick import limits
from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.errors import NoRoute
from tallystick.routing.decide import decide, longest_rule
from tallystick.routing.model import BackEnd, IssuerRule, RoutingTable, Status

SCHEMES = ("unionpay", "visa", "wallet")
PREFIX = st.text("0123456789", min_size=1, max_size=limits.ISSUER_DIGITS)
RULES = st.lists(
    st.builds(
        IssuerRule,
        prefix=PREFIX,
        schemes=st.lists(st.sampled_from(SCHEMES), min_size=1, max_size=2, unique=True).map(tuple),
    ),
    max_size=8,
    unique_by=lambda rule: rule.prefix,
).map(tuple)
BACK_ENDS = st.lists(
    st.builds(
        BackEnd,
        id=st.integers(10_000_000, 10_000_009).map(str),
        name=st.just("bank"),
        connector=st.just("rest"),
        status=st.sampled_from(Status),
        schemes=st.frozensets(st.sampled_from(SCHEMES)),
        priority=st.integers(1, 3),
        currencies=st.frozensets(st.sampled_from(("CNY", "USD"))),
    ),
    max_size=6,
    unique_by=lambda back_end: back_end.id,
).map(tuple)
TABLES = st.builds(RoutingTable, version=st.integers(0, 9), back_ends=BACK_ENDS, issuer_rules=RULES)
FACTS = st.builds(
    RoutingFacts,
    kind=st.just(CredentialKind.CARD),
    currency=st.sampled_from(("CNY", "USD", "EUR")),
    institution=st.none() | st.integers(10_000_000, 10_000_010).map(str),
    issuer=st.none() | st.text("0123456789", min_size=9, max_size=9),
    scheme=st.none() | st.sampled_from(SCHEMES),
    allowed=st.lists(st.integers(10_000_000, 10_000_009).map(str), max_size=3).map(tuple),
)


@given(FACTS, TABLES)
def test_every_candidate_fits_all_facts_and_is_active(facts: RoutingFacts, table: RoutingTable) -> None:
    try:
        decision = decide(facts, table)
    except NoRoute:
        return
    assert table.version == decision.version
    assert len({back_end.id for back_end in decision.candidates}) == len(decision.candidates)
    for back_end in decision.candidates:
        assert Status.ACTIVE is back_end.status
        assert not back_end.currencies or facts.currency in back_end.currencies
        assert not facts.allowed or back_end.id in facts.allowed
        assert facts.institution in {None, back_end.id}


@given(FACTS, TABLES)
def test_no_fitting_active_back_end_is_left_out(facts: RoutingFacts, table: RoutingTable) -> None:
    rule = longest_rule(facts.issuer or "", table.issuer_rules)
    schemes = {facts.scheme} if facts.scheme else set(rule.schemes if rule else ())
    fitting = {
        back_end.id
        for back_end in table.back_ends
        if (back_end.id == facts.institution if facts.institution else back_end.schemes & schemes)
        and (not back_end.currencies or facts.currency in back_end.currencies)
        and (not facts.allowed or back_end.id in facts.allowed)
    }
    active = {back_end.id for back_end in table.back_ends if back_end.status is Status.ACTIVE}
    if not fitting:
        with pytest.raises(NoRoute):
            decide(facts, table)
    else:
        assert fitting & active == {back_end.id for back_end in decide(facts, table).candidates}


@given(st.text("0123456789", max_size=9), RULES)
def test_the_rule_with_the_longest_matching_prefix_wins(issuer: str, rules: tuple[IssuerRule, ...]) -> None:
    expected = next(
        (
            rule
            for size in range(9, 0, -1)
            for rule in rules
            if len(rule.prefix) == size and issuer[:size] == rule.prefix
        ),
        None,
    )
    assert expected == longest_rule(issuer, rules)


@given(FACTS, TABLES, st.randoms(use_true_random=False))
def test_the_order_of_the_table_does_not_matter(facts: RoutingFacts, table: RoutingTable, random: object) -> None:
    back_ends, rules = list(table.back_ends), list(table.issuer_rules)
    random.shuffle(back_ends)  # type: ignore[attr-defined]
    random.shuffle(rules)  # type: ignore[attr-defined]
    shuffled = RoutingTable(version=table.version, back_ends=tuple(back_ends), issuer_rules=tuple(rules))
    try:
        expected = decide(facts, table)
    except NoRoute:
        with pytest.raises(NoRoute):
            decide(facts, shuffled)
    else:
        assert expected == decide(facts, shuffled)
