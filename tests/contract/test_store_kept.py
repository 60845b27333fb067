"""What every store promises about rows that name key versions."""

from typing import Any

import pytest
from msgspec.structs import replace
from store_samples import ORDER, AnyStore, at, channel, element, payment

from tallystick.assembly.facts import Fate, PaymentState
from tallystick.channels.model import ApiKey, LimitRules, Proposal, ProposalKind, ProposalState, Role
from tallystick.channels.proposals import LIFE_MS
from tallystick.crypto.versioned import header
from tallystick.outcomes.model import Endpoint
from tallystick.security.kept import RENEWED, USES, Kept, KeptCount, KeptRow, Rewrap
from tallystick.security.model import StoredAnswer
from tallystick.vault.model import User

NOW = at(5_000)
OLD, NEW = header(1) + b"old", header(2) + b"new"


def user(number: int, head: bytes = OLD) -> User:
    return User(
        id=f"usr_{number}",
        name_digest=head + bytes([number]),
        salt=bytes(16),
        kdf="none",
        verifier=head,
        wrapped_key=head,
        sealed_contact=head,
        created_at=at(1_000),
    )


async def fill(store: AnyStore) -> None:
    """Put two rows of each renewed kind into a store, and one that waits."""

    async def work(books: Any) -> None:  # webhook endpoints are outside the path's books
        for number in (2, 1):
            await books.add_channel(channel(f"ch_{number}", name=f"{number}", sealed_key=OLD))
            await books.put_connector_settings(f"1000000{number}", OLD)
            await books.put_endpoint(
                Endpoint(id=f"we_{number}", channel_id=f"ch_{number}", url="https://x", sealed=OLD, created_at=at(1))
            )
            await books.add_user(user(number))
        await books.add_payment(payment("pay_1", element=element(OLD), order=ORDER))

    await store.transact(work)


@pytest.mark.parametrize("kind", RENEWED)
async def test_rows_are_listed_behind_a_given_one_in_the_order_of_ids(store: AnyStore, kind: Kept) -> None:
    await fill(store)
    first, second = await store.read(lambda books: books.kept_rows(kind, "", 10))
    assert first.id < second.id
    assert len(USES[kind]) == len(first.values)
    assert [first] == await store.read(lambda books: books.kept_rows(kind, "", 1))
    assert [second] == await store.read(lambda books: books.kept_rows(kind, first.id, 10))
    assert [] == await store.read(lambda books: books.kept_rows(kind, second.id, 10))


@pytest.mark.parametrize("kind", RENEWED)
async def test_a_row_that_is_put_back_has_its_new_values_and_the_others_are_untouched(
    store: AnyStore, kind: Kept
) -> None:
    await fill(store)
    first, second = await store.read(lambda books: books.kept_rows(kind, "", 10))
    changed = KeptRow(id=first.id, values=tuple(NEW + bytes([n]) for n in range(len(first.values))))
    await store.transact(lambda books: books.put_kept(kind, changed))
    assert [changed, second] == await store.read(lambda books: books.kept_rows(kind, "", 10))
    counts = await store.read(lambda books: books.kept_counts(kind, NOW))
    assert all(count.count == 1 for count in counts)
    assert {1, 2} == {count.version for count in counts}


async def test_a_changed_channel_is_read_back_changed(store: AnyStore) -> None:
    await fill(store)
    assert await store.read(lambda books: books.channel("ch_1")) is not None
    await store.transact(lambda books: books.put_kept(Kept.CHANNEL, KeptRow(id="ch_1", values=(NEW, None))))
    found = await store.read(lambda books: books.channel("ch_1"))
    assert found is not None
    assert NEW == found.sealed_key


async def test_only_payments_that_wait_count(store: AnyStore) -> None:
    await fill(store)
    waiting = [KeptCount(kind=Kept.PAYMENT, place=0, version=1, count=1)]
    assert waiting == await store.read(lambda books: books.kept_counts(Kept.PAYMENT, NOW))
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.EXPIRED, at(6_000)))
    assert [] == await store.read(lambda books: books.kept_counts(Kept.PAYMENT, NOW))


async def test_the_mac_of_a_created_order_counts_until_its_payment_was_sent(store: AnyStore) -> None:
    created = payment("pay_1", element=element(NEW), order=ORDER, order_mac=OLD)
    await store.transact(lambda books: books.add_payment(created))
    counted = [KeptCount(kind=Kept.ORDER, place=0, version=1, count=1)]
    assert counted == await store.read(lambda books: books.kept_counts(Kept.ORDER, NOW))
    await store.transact(lambda books: books.decide_fate("pay_1", Fate.JOINED, at(6_000)))
    assert counted == await store.read(lambda books: books.kept_counts(Kept.ORDER, NOW))
    moved = {"expected": PaymentState.JOINED, "state": PaymentState.REFUSED, "at": at(7_000)}
    assert await store.transact(lambda books: books.advance("pay_1", **moved))
    assert [] == await store.read(lambda books: books.kept_counts(Kept.ORDER, NOW))


@pytest.mark.parametrize("kind", sorted(set(Kept) - {Kept.PAYMENT} - set(RENEWED)))
async def test_what_waits_is_counted_too(store: AnyStore, kind: Kept) -> None:
    assert [] == await store.read(lambda books: books.kept_counts(kind, NOW))


async def test_a_value_that_names_no_version_counts_as_version_0(store: AnyStore) -> None:
    await store.transact(lambda books: books.put_connector_settings("10000001", b"of another form"))
    assert [KeptCount(kind=Kept.CONNECTOR, place=0, version=0, count=1)] == await store.read(
        lambda books: books.kept_counts(Kept.CONNECTOR, NOW)
    )


async def test_the_note_how_far_a_kind_is_comes_back_and_is_replaced(store: AnyStore) -> None:
    assert await store.read(lambda books: books.rewrap(Kept.PAYER)) is None
    noted = Rewrap(kind=Kept.PAYER, target="vault-2", after="usr_1", looked=1, changed=1, started_at=at(1_000))
    await store.transact(lambda books: books.note_rewrap(noted))
    assert noted == await store.read(lambda books: books.rewrap(Kept.PAYER))
    over = replace(noted, after="usr_2", damaged=1, finished_at=at(2_000))
    await store.transact(lambda books: books.note_rewrap(over))
    assert over == await store.read(lambda books: books.rewrap(Kept.PAYER))
    assert await store.read(lambda books: books.rewrap(Kept.CHANNEL)) is None


async def test_the_mac_of_the_rate_limits_is_counted_by_its_key(store: AnyStore) -> None:
    rules = LimitRules(limits={}, author="op", at=at(1), mac=NEW)
    await store.transact(lambda books: books.put_limit_rules(rules))
    expected = [KeptCount(kind=Kept.LIMITS, place=0, version=2, count=1)]
    assert expected == await store.read(lambda books: books.kept_counts(Kept.LIMITS, NOW))


API_KEY = ApiKey(
    id="key_1",
    holder="bookshop",
    role=Role.MERCHANT,
    scopes=frozenset(),
    live=True,
    digest=OLD,
    created_at=at(1),
    expires_at=at(6_000),
    mac=OLD,
)
PROPOSAL = Proposal(
    id="prop_1",
    kind=ProposalKind.KEYS,
    action="destroy",
    subject={},
    base="verify-only",
    author="ann",
    note="",
    at=at(1_000),
    required=1,
    mac=OLD,
)


async def test_an_api_key_counts_until_it_is_over_or_revoked(store: AnyStore) -> None:
    await store.transact(lambda books: books.put_api_key(API_KEY))
    current = [KeptCount(kind=Kept.API_KEY, place=place, version=1, count=1) for place in (0, 1)]
    assert current == await store.read(lambda books: books.kept_counts(Kept.API_KEY, at(5_999)))
    assert [] == await store.read(lambda books: books.kept_counts(Kept.API_KEY, at(6_000)))
    await store.transact(lambda books: books.put_api_key(replace(API_KEY, revoked_at=at(2_000))))
    assert [] == await store.read(lambda books: books.kept_counts(Kept.API_KEY, NOW))
    assert await store.read(lambda books: books.api_key("key_1")) is not None


async def test_a_proposal_counts_while_it_can_be_approved(store: AnyStore) -> None:
    await store.transact(lambda books: books.add_proposal(PROPOSAL))
    waiting = [KeptCount(kind=Kept.PROPOSAL, place=0, version=1, count=1)]
    assert waiting == await store.read(lambda books: books.kept_counts(Kept.PROPOSAL, at(999 + LIFE_MS)))
    assert [] == await store.read(lambda books: books.kept_counts(Kept.PROPOSAL, at(1_000 + LIFE_MS)))
    rejected = replace(PROPOSAL, state=ProposalState.REJECTED)
    assert await store.transact(lambda books: books.replace_proposal(rejected, was=PROPOSAL))
    assert [] == await store.read(lambda books: books.kept_counts(Kept.PROPOSAL, NOW))


async def test_an_answer_under_the_at_rest_key_counts_until_it_ends_and_one_of_an_epoch_never(store: AnyStore) -> None:
    mac = b".9." + bytes(30)  # the bytes behind the first dot are any

    async def keep(books: Any) -> None:
        for key, name in {"a": b"2", "b": b"2", "c": b"10", "d": b"ep_7"}.items():
            await books.keep_answer("bookshop", key, StoredAnswer(fingerprint=name + mac, body=b"sealed"), at(6_000))

    await store.transact(keep)
    expected = {2: 2, 10: 1}
    found = await store.read(lambda books: books.kept_counts(Kept.ANSWER, at(5_999)))
    assert expected == {each.version: each.count for each in found}
    assert [] == await store.read(lambda books: books.kept_counts(Kept.ANSWER, at(6_000)))
