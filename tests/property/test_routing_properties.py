"""For any table and facts: fitting, active back ends by the narrowest range; and for any changes: whole, and undone."""

from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tallystick import limits
from tallystick.adapters.store.drive import drive
from tallystick.assembly.facts import CredentialKind, RoutingFacts
from tallystick.errors import Conflict, NoRoute
from tallystick.routing import changes
from tallystick.routing.compare import OTHER, Move, diff, dry_run
from tallystick.routing.coverage import coverage
from tallystick.routing.decide import brands_of, decide, fallback_order
from tallystick.routing.issuers import NUMBERS, IssuerIndex, IssuerRule, span, words
from tallystick.routing.model import BackEnd, ChangeState, Preference, RoutingTable, Status
from tallystick.routing.table import digest
from tallystick.runtime import Millis
from tallystick.testing.memory_store import MemoryBooks

SCHEMES = ("unionpay", "visa", "wallet")
SCHEME_ORDERS = st.lists(st.sampled_from(SCHEMES), min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def ranges(draw: st.DrawFn) -> IssuerRule:
    """Draw a range near few numbers, so that ranges nest and lie across each other."""
    digits = draw(st.integers(1, limits.ISSUER_DIGITS))
    near = st.sampled_from(("6", "62", "622", "40000000", "499999999", "0", "999999999"))
    bounds = sorted(draw(near).ljust(digits, draw(st.sampled_from("0159")))[:digits] for _ in range(2))
    return IssuerRule(low=bounds[0], high=bounds[1], schemes=draw(SCHEME_ORDERS))


RULES = st.lists(ranges(), max_size=8, unique_by=lambda rule: rule.span).map(tuple)
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
).map(lambda found: tuple(replace(each, name=f"bank {each.id}") for each in found))
PREFERENCES = st.lists(
    st.builds(Preference, currency=st.sampled_from(("CNY", "USD")), schemes=SCHEME_ORDERS),
    max_size=2,
    unique_by=lambda preference: preference.currency,
).map(tuple)
TABLES = st.builds(
    RoutingTable, version=st.integers(0, 9), back_ends=BACK_ENDS, issuer_rules=RULES, preferences=PREFERENCES
)
ISSUERS = st.sampled_from(("620000000", "622000000", "400000001", "499999999", "999999999")) | st.text(
    "0123456789", min_size=9, max_size=9
)
FACTS = st.builds(
    RoutingFacts,
    kind=st.just(CredentialKind.CARD),
    currency=st.sampled_from(("CNY", "USD", "EUR")),
    institution=st.none() | st.integers(10_000_000, 10_000_010).map(str),
    issuer=st.none() | ISSUERS,
    scheme=st.none() | st.sampled_from(SCHEMES),
    brand=st.none() | st.sampled_from(SCHEMES),
    allowed=st.lists(st.integers(10_000_000, 10_000_009).map(str), max_size=3).map(tuple),
)


def narrowest(issuer: str, rules: tuple[IssuerRule, ...]) -> IssuerRule | None:
    """Find the narrowest rule by looking at each."""
    matching = [rule for rule in rules if rule.span[0] <= int(issuer) <= rule.span[1]]
    return min(matching, key=lambda rule: (rule.span[1] - rule.span[0], rule.span), default=None)


def routed(facts: RoutingFacts, table: RoutingTable) -> tuple[str, ...] | None:
    """Return the ids of the candidates, None where there is no route at all."""
    try:
        return tuple(back_end.id for back_end in decide(facts, table).candidates)
    except NoRoute:
        return None


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
    rule = narrowest(facts.issuer, table.issuer_rules) if facts.issuer else None
    of_card = set(rule.schemes if rule else ())
    schemes = {facts.scheme} if facts.scheme else {facts.brand} & of_card or of_card
    fitting = {
        back_end.id
        for back_end in table.back_ends
        if (back_end.id == facts.institution if facts.institution else back_end.schemes & schemes)
        and (not back_end.currencies or facts.currency in back_end.currencies)
        and (not facts.allowed or back_end.id in facts.allowed)
    }
    active = {back_end.id for back_end in table.back_ends if back_end.status is Status.ACTIVE}
    to = routed(facts, table)
    assert (fitting & active if fitting else None) == (None if to is None else set(to))


@given(ISSUERS, RULES)
def test_the_narrowest_range_wins(issuer: str, rules: tuple[IssuerRule, ...]) -> None:
    assert (narrowest(issuer, rules),) == IssuerIndex(rules).owners(issuer)


@given(RULES, st.data())
def test_at_every_edge_of_every_range_the_narrowest_wins(rules: tuple[IssuerRule, ...], data: st.DataObject) -> None:
    edges = {edge + step for rule in rules for edge in rule.span for step in (-1, 0, 1)} - {-1, NUMBERS}
    index = IssuerIndex(data.draw(st.permutations(rules)))
    for edge in edges:
        assert narrowest(f"{edge:09d}", rules) == index.owner(edge)


@given(ranges())
def test_a_span_in_words_is_that_span(rule: IssuerRule) -> None:
    low, _, high = words(*rule.span).partition("-")
    assert rule.span == span(low, high or low)


@given(FACTS, TABLES, st.randoms(use_true_random=False))
def test_the_order_of_the_table_does_not_matter(facts: RoutingFacts, table: RoutingTable, random: Any) -> None:
    back_ends, rules = list(table.back_ends), list(table.issuer_rules)
    random.shuffle(back_ends)
    random.shuffle(rules)
    shuffled = replace(table, back_ends=tuple(back_ends), issuer_rules=tuple(rules))
    assert routed(facts, table) == routed(facts, shuffled)
    assert digest(replace(table, issuer_rules=())) == digest(replace(shuffled, issuer_rules=()))


# Comparisons


@given(FACTS, TABLES, TABLES)
def test_a_payment_goes_elsewhere_only_when_the_dry_run_says_so(
    facts: RoutingFacts, old: RoutingTable, new: RoutingTable
) -> None:
    whole = replace(facts, allowed=())
    before, after = (tuple(b.id for b in fallback_order(whole, t, brands_of(whole, t))) for t in (old, new))
    if before != after:
        assert any(
            tells_of(move, facts, old, new)
            for move in dry_run(old, new)
            if (before, after) == (move.before, move.after)
        )
    else:
        thinned = [fallback_order(facts, table, brands_of(facts, table)) for table in (old, new)]
        assert [b.id for b in thinned[0]] == [b.id for b in thinned[1]]


def tells_of(move: Move, facts: RoutingFacts, old: RoutingTable, new: RoutingTable) -> bool:
    """Say whether a move names these very facts."""
    named = {currency for each in (old, new) for b in each.back_ends for currency in b.currencies}
    named |= {preference.currency for each in (old, new) for preference in each.preferences}
    if (facts.currency if facts.currency in named else OTHER) not in move.currencies:
        return False
    if facts.institution is not None:
        return f"institution {facts.institution}" in move.asked
    if facts.scheme is not None:
        return f"accounts of {facts.scheme}" in move.asked
    rules = [narrowest(facts.issuer or "0", table.issuer_rules) for table in (old, new)]
    brands = [rule.schemes if rule else () for rule in rules]
    matters = max(map(len, brands)) > 1 and facts.brand in {*brands[0], *brands[1]}
    if move.brand != (facts.brand if matters else None):
        return False
    spans = [each.removeprefix("cards ").partition("-") for each in move.asked if each.startswith("cards")]
    return any(low.ljust(9, "0") <= (facts.issuer or "") <= (high or low).ljust(9, "9") for low, _, high in spans)


@given(TABLES, TABLES)
def test_every_move_that_the_dry_run_names_is_one(old: RoutingTable, new: RoutingTable) -> None:
    for move in dry_run(old, new):
        assert move.before != move.after
        for currency in move.currencies:
            asked = move.asked[0].rpartition(" ")[2]
            facts = RoutingFacts(
                kind=CredentialKind.CARD,
                currency="XXX" if currency == OTHER else currency,
                issuer=asked.partition("-")[0].ljust(9, "0") if move.asked[0].startswith("cards") else None,
                scheme=asked if move.asked[0].startswith("accounts") else None,
                institution=asked if move.asked[0].startswith("institution") else None,
                brand=move.brand,
            )
            for table, expected in ((old, move.before), (new, move.after)):
                found = fallback_order(facts, table, brands_of(facts, table))
                assert expected == tuple(back_end.id for back_end in found)


@given(TABLES, TABLES)
def test_tables_that_differ_in_no_word_differ_in_no_route(old: RoutingTable, new: RoutingTable) -> None:
    assert bool(diff(old, old)) is False
    if not diff(old, new):
        assert () == dry_run(old, new)


@given(RULES, RULES, ISSUERS)
def test_a_number_loses_a_scheme_only_inside_a_gap_that_is_named(
    before: tuple[IssuerRule, ...], after: tuple[IssuerRule, ...], issuer: str
) -> None:
    had, has = narrowest(issuer, before), narrowest(issuer, after)
    lost = set(had.schemes if had else ()) - set(has.schemes if has else ())
    named = set()
    for gap in coverage(after, before).gaps:
        digits, _, scheme = gap.partition(" loses ")
        low, _, high = digits.partition("-")
        first, last = span(low, high or low)
        if first <= int(issuer) <= last:
            named.add(scheme)
    assert lost == named


# Changes


class Table:
    """A routing table in memory, changed by whole transactions."""

    def __init__(self) -> None:
        self.journal: list[Callable[[], None]] = []
        self.books = MemoryBooks(self.journal)

    def do(self, work: Callable[[Any], Awaitable[Any]], *, fails: bool = False) -> Any:
        result = drive(work, self.books)
        if fails:
            for undo in reversed(self.journal):
                undo()
        self.journal.clear()
        return result

    def now(self) -> RoutingTable:
        table: RoutingTable = self.do(lambda books: books.routing_table())
        return table

    def commit(self, said: RoutingTable, *, fails: bool = False) -> None:
        present = self.now()
        table = replace(said, version=present.version)
        if digest(table) == digest(present):
            return
        self.do(lambda books: changes.commit(books, table, author="ann", note="", at=Millis(0)), fails=fails)


@settings(max_examples=50)
@given(st.lists(TABLES, min_size=1, max_size=4), st.lists(FACTS, max_size=8), st.data())
def test_a_rollback_restores_every_decision_exactly(
    said: list[RoutingTable], asked: list[RoutingFacts], data: st.DataObject
) -> None:
    table = Table()
    versions = {0: table.now()}
    for each in said:
        table.commit(each)
        versions[table.now().version] = table.now()
    number = data.draw(st.sampled_from(sorted(versions)))
    expected = versions[number]
    table.commit(table.do(lambda books: changes.rolled_back(books, number)))
    assert digest(expected) == digest(table.now())
    assert [routed(facts, expected) for facts in asked] == [routed(facts, table.now()) for facts in asked]


@settings(max_examples=50)
@given(TABLES, st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Status)), max_size=6))
def test_status_never_changes_the_version_and_a_version_never_the_status(
    said: RoutingTable, words_said: list[tuple[int, Status]]
) -> None:
    table = Table()
    table.commit(said)
    version, ids = table.now().version, [back_end.id for back_end in table.now().back_ends]
    expected = dict.fromkeys(ids, Status.SUSPENDED)
    for place, status in words_said:
        if place < len(ids):
            expected[ids[place]] = status
            table.do(lambda books, place=place, status=status: books.put_status(ids[place], status))
    assert version == table.now().version
    table.commit(replace(table.now(), preferences=(Preference(currency="JPY", schemes=("jcb",)),)))
    assert version + 1 == table.now().version
    assert expected == {back_end.id: back_end.status for back_end in table.now().back_ends}


@settings(max_examples=50)
@given(TABLES, TABLES, st.booleans())
def test_a_change_is_made_whole_or_leaves_everything_as_it_was(
    first: RoutingTable,
    second: RoutingTable,
    fails: bool,  # noqa: FBT001
) -> None:
    table = Table()
    table.commit(first)
    before, history = table.now(), table.do(lambda books: books.route_versions(9))
    table.commit(second, fails=fails)
    if fails:
        assert (before, history) == (table.now(), table.do(lambda books: books.route_versions(9)))
    else:
        assert digest(second) == digest(table.now())


@settings(max_examples=50)
@given(TABLES, TABLES)
def test_of_two_proposals_from_one_version_one_is_applied_at_most(one: RoutingTable, two: RoutingTable) -> None:
    table, start = Table(), digest(RoutingTable(version=0, back_ends=(), issuer_rules=()))
    proposed = {f"rc_{n}": replace(each, version=0) for n, each in enumerate((one, two)) if digest(each) != start}
    for change_id, said in proposed.items():
        table.do(
            lambda books, change_id=change_id, said=said: changes.propose(
                books, said, change_id=change_id, author="ann", note="", at=Millis(0)
            )
        )
    applied = []
    for change_id in proposed:
        try:
            table.do(
                lambda books, change_id=change_id: changes.approve(
                    books, change_id, approver="bo", at=Millis(1), four_eyes=True
                )
            )
            applied.append(change_id)
        except Conflict:
            found = table.do(lambda books, change_id=change_id: books.route_change(change_id))
            assert ChangeState.STALE is found.state
    assert list(proposed)[:1] == applied
