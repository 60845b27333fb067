"""Several connections to one back end over real TLS: shared, lost, retired, opened anew, and asked by the switch."""

import asyncio

import pytest
from iso8583_world import Place, connected, instruction, until

from tallystick.delivery.model import Answer, Verdict
from tallystick.errors import NotSent, OutcomeUnknown
from tallystick.testing.sandbox.unionpay import UnionPaySandbox
from tallystick.testing.sandbox.unionpay_connection import Connection
from tallystick.testing.sandbox.unionpay_keys import MAC_KEY


def signed_on(sandbox: UnionPaySandbox) -> list[Connection]:
    return [connection for connection in sandbox.connections if connection.signed_on]


async def test_many_requests_share_one_connection_and_each_gets_its_own_answer(place: Place) -> None:
    async with connected(place, timeout_s=20.0) as (connector, sandbox):
        answers = await asyncio.gather(
            *(connector.deliver(instruction(n, amount=1051 if n % 3 == 0 else 1000)) for n in range(1, 301))
        )
        assert 1 == len(sandbox.connections)

    expected = [(None, "51") if n % 3 == 0 else (f"{n:06d}", "00") for n in range(1, 301)]
    assert expected == [(answer.approval, answer.code) for answer in answers]


async def test_three_connections_share_the_requests_evenly_and_answers_find_their_way(place: Place) -> None:
    async with connected(place, connections=3, timeout_s=20.0) as (connector, sandbox):
        await connector.echo()
        assert 3 == len(signed_on(sandbox))
        silent = [asyncio.create_task(connector.deliver(instruction(n, amount=19901))) for n in range(1, 7)]
        await until(lambda: len(sandbox.record.entries) == 6)
        assert [2, 2, 2] == [link.in_flight for link in connector._pool.usable]
        answers = await asyncio.gather(*(connector.deliver(instruction(n)) for n in range(7, 157)))

        assert [f"{n:06d}" for n in range(7, 157)] == [answer.approval for answer in answers]
        for task in silent:
            task.cancel()


async def test_a_further_connection_is_opened_while_the_first_is_busy(place: Place) -> None:
    async with connected(place, connections=2, timeout_s=20.0) as (connector, sandbox):
        await connector.deliver(instruction(1))
        assert 1 == len(sandbox.connections)
        silent = asyncio.create_task(connector.deliver(instruction(2, amount=19901)))
        await until(lambda: len(sandbox.record.entries) == 2)
        await connector.deliver(instruction(3))
        await until(lambda: len(signed_on(sandbox)) == 2)
        silent.cancel()


async def test_one_cut_connection_disturbs_no_request_on_another(place: Place) -> None:
    async with connected(place, connections=3, timeout_s=20.0) as (connector, sandbox):
        await connector.echo()
        slow = [asyncio.create_task(connector.deliver(instruction(n, amount=19902))) for n in (1, 2)]
        await until(lambda: len(sandbox.record.entries) == 2)
        cut = asyncio.create_task(connector.deliver(instruction(3, amount=19904)))
        results = await asyncio.gather(*slow, cut, return_exceptions=True)
        assert 2 == len(sandbox.connections)
        later = await connector.deliver(instruction(4))
        await connector.echo()
        assert 3 == len(signed_on(sandbox))

    assert [Answer, Answer, OutcomeUnknown] == [type(result) for result in results]
    assert Verdict.APPROVED is later.verdict


async def test_an_echo_opens_every_connection_and_fails_when_there_is_none(place: Place) -> None:
    async with connected(place, connections=2) as (connector, sandbox):
        await connector.echo()
        assert 2 == len(signed_on(sandbox))
        await sandbox.stop()
        await until(lambda: not connector._pool.usable)
        with pytest.raises(NotSent):
            await connector.echo()


async def test_a_connection_whose_echo_has_no_right_answer_is_dropped(place: Place) -> None:
    async with connected(place, connections=2) as (connector, sandbox):
        await connector.echo()
        sandbox.keys.lose(MAC_KEY)
        with pytest.raises(OutcomeUnknown):
            await connector.echo()
        assert [] == connector._pool.usable


async def test_a_back_end_that_returns_is_connected_again(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await connector.deliver(instruction(1))
        sandbox.cut()
        await until(lambda: not connector._pool.usable)

        assert Verdict.APPROVED is (await connector.deliver(instruction(2))).verdict


async def test_closing_signs_off_every_connection_within_a_bounded_time(place: Place) -> None:
    async with connected(place, connections=2) as (connector, sandbox):
        await connector.echo()
        held = list(sandbox.connections)
        await connector.aclose()
        await until(lambda: not sandbox.connections)

        assert [False, False] == [connection.signed_on for connection in held]


async def test_closing_while_the_connection_opens_ends_its_callers_as_not_sent(place: Place) -> None:
    async with connected(place) as (connector, _):
        waiting = [asyncio.create_task(connector.deliver(instruction(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        await connector.aclose()
        assert [NotSent, NotSent] == [type(e) for e in await asyncio.gather(*waiting, return_exceptions=True)]


async def test_a_cancelled_caller_does_not_cancel_the_connection_of_another(place: Place) -> None:
    async with connected(place) as (connector, _):
        first, second = (asyncio.create_task(connector.deliver(instruction(n))) for n in (1, 2))
        await asyncio.sleep(0)
        first.cancel()

        assert Verdict.APPROVED is (await second).verdict
        with pytest.raises(asyncio.CancelledError):
            await first


@pytest.mark.parametrize(
    ("what", "code"),
    [("301", "00"), ("201", "00"), ("202", "00"), ("002", "00"), ("001", "12"), ("101", "12"), ("999", "12")],
)
async def test_requests_of_the_switch_are_answered_and_unknown_ones_refused(place: Place, what: str, code: str) -> None:
    async with connected(place) as (connector, sandbox):
        await connector.echo()
        (connection,) = sandbox.connections
        connection.ask(what, "900001", {})
        await until(lambda: connection.answers)

    (answer,) = connection.answers
    assert ("0810", what, code, "900001") == (answer["t"], answer["70"], answer["39"], answer["11"])


async def test_a_sign_off_by_the_switch_ends_the_connection_after_its_last_answer(place: Place) -> None:
    async with connected(place, timeout_s=20.0) as (connector, sandbox):
        slow = asyncio.create_task(connector.deliver(instruction(1, amount=19902)))
        await until(lambda: len(sandbox.record.entries) == 1)
        (first,) = sandbox.connections
        first.ask("002", "900001", {})
        await until(lambda: not connector._pool.usable)
        later = await connector.deliver(instruction(2))
        answer = await slow
        await until(lambda: first not in sandbox.connections)
        assert 1 == len(sandbox.connections)

    assert [Verdict.APPROVED, Verdict.APPROVED] == [answer.verdict, later.verdict]


async def test_a_switch_that_wants_a_new_sign_on_gets_one(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await connector.echo()
        (connection,) = sandbox.connections
        connection.signed_on = False
        refused = await connector.deliver(instruction(1))
        accepted = await connector.deliver(instruction(2))

    assert ("77", "00") == (refused.code, accepted.code)


async def test_a_request_of_the_switch_with_a_wrong_mac_is_counted_and_not_answered(place: Place) -> None:
    async with connected(place) as (connector, sandbox):
        await connector.echo()
        (connection,) = sandbox.connections
        codec = sandbox.keys.codec()
        assert codec is not None
        message = codec.sign({"t": "0800", "7": "0101000000", "11": "900001", "70": "301"})
        connection._write(message[:-1] + bytes([message[-1] ^ 1]))
        await until(lambda: connector.counts.unauthenticated)
        await connector.echo()

    assert [] == connection.answers
