"""What each theft exposes: exactly the halves that it opens, and a whole credential only where all halves are."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tallystick.assembly import policy as policies
from tallystick.exposure import Exposed, Held, Theft, exposed
from tallystick.runtime import Millis

TABLE = policies.load(policies.BUILT_IN)
NOW = Millis(50_000)


def held(payment: str, channel: str, *fields: str, **more: Any) -> Held:
    usual = {"policy": "card", "since": 10_000, "until": None, "epoch": "ep_0", "key_until": 100_000}
    return Held(**{"payment": payment, "channel": channel, "fields": frozenset(fields)} | usual | more)


RECORD = [
    held("pay_joined", "ch_pc", "pan", "expiry"),
    held("pay_joined", "ch_phone", "pin_block", epoch="ep_1"),
    held("pay_half", "ch_pc", "pan"),
    held("pay_ended", "ch_pc", "pan", until=40_000),
    held("pay_ended", "ch_phone", "pin_block", until=40_000),
    held("pay_late", "ch_pc", "pan", since=60_000),
    held("pay_over", "ch_pc", "pan", key_until=45_000),
    held("pay_shares", "ch_pc", "share/1", policy="card-shares-2"),
]


def found(**theft: Any) -> dict[str, tuple[int, bool]]:
    """Return the number of halves read and whether they are a usable whole, by payment."""
    radius = exposed(RECORD, Theft(**{"at": NOW} | theft), TABLE)
    return {each.payment: (len(each.halves), each.usable) for each in radius}


def test_a_stolen_channel_gives_its_own_halves_and_no_usable_credential() -> None:
    pc = found(channels=frozenset({"ch_pc"}))
    assert dict.fromkeys(("pay_joined", "pay_half", "pay_late", "pay_over", "pay_shares"), (1, False)) == pc
    assert {"pay_joined": (1, False)} == found(channels=frozenset({"ch_phone"}))
    assert {} == found(channels=frozenset({"ch_nobody"}))


def test_channels_that_collude_give_what_both_carried() -> None:
    assert (2, True) == found(channels=frozenset({"ch_pc", "ch_phone"}))["pay_joined"]


def test_a_stolen_store_alone_gives_nothing_nor_do_keys_alone() -> None:
    assert {} == found(database=True)
    assert {} == found(epochs=None)
    assert {} == found(epochs=frozenset({"ep_0", "ep_1"}))


def test_a_store_with_its_epoch_keys_gives_exactly_the_live_halves() -> None:
    everything = {"pay_joined": (2, True), "pay_half": (1, False), "pay_shares": (1, False)}
    assert everything == found(database=True, epochs=None)
    assert everything | {"pay_joined": (1, False)} == found(database=True, epochs=frozenset({"ep_0"}))
    assert {"pay_joined": (1, False)} == found(database=True, epochs=frozenset({"ep_1"}))
    assert everything | {"pay_ended": (2, True), "pay_over": (1, False)} == found(
        database=True, epochs=None, at=Millis(30_000)
    )


def test_a_stolen_node_gives_what_is_in_flight() -> None:
    assert found(database=True, epochs=None) == found(node=True)


def test_an_opening_key_with_recorded_traffic_gives_what_was_sent_in_its_time() -> None:
    assert {"pay_late": (1, False)} == found(traffic=((Millis(55_000), Millis(70_000)),))
    assert found(traffic=((Millis(0), Millis(70_000)),))["pay_joined"] == (2, True)
    assert {} == found(traffic=((Millis(0), Millis(10_000)),))


def test_what_is_read_is_told_by_field_names_and_an_unknown_policy_counts_as_whole() -> None:
    record = [held("pay_1", "ch", "pan", policy="gone")]
    radius = exposed(record, Theft(at=NOW, channels=frozenset({"ch"})), TABLE)
    assert [Exposed(payment="pay_1", policy="gone", halves=(("pan",),), usable=True)] == radius


@given(
    st.sampled_from(sorted(TABLE)),
    st.lists(st.sampled_from(["ch_a", "ch_b", "ch_c"]), min_size=1, max_size=3),
    st.integers(0, 7),
)
def test_no_single_channel_ever_gives_a_usable_credential(policy: str, channels: list[str], which: int) -> None:
    """No policy has fewer than two parts, and no channel supplies two parts of one payment (I4)."""
    shapes = [shape.required for shape in TABLE[policy].parts] or [
        frozenset({policies.share_field(index)}) for index in range(1, TABLE[policy].shares + 1)
    ]
    record = [
        held("pay_1", channel, *shapes[(which + place) % len(shapes)], policy=policy)
        for place, channel in enumerate(dict.fromkeys(channels))
    ]
    for channel in channels:
        assert not any(each.usable for each in exposed(record, Theft(at=NOW, channels=frozenset({channel})), TABLE))
