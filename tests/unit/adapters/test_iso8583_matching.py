"""Which request an answer belongs to, and what is counted when it belongs to none."""

import asyncio
from typing import Final

import pytest

from tallystick.adapters.connectors.iso8583_matching import FINISHED_MAX, Counts, Matcher
from tallystick.errors import OutcomeUnknown

REQUEST: Final = {"t": "0200", "7": "1125000000", "11": "000001", "32": "48021910", "33": "48021911"}
ANSWER: Final = {**REQUEST, "t": "0210", "39": "00"}
ONE, OTHER = object(), object()


def matcher() -> tuple[Matcher, Counts]:
    counts = Counts()
    return Matcher(counts), counts


async def test_an_answer_reaches_its_request_whichever_connection_it_comes_over() -> None:
    found, counts = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    found.answer(ANSWER)

    await waiting.answer
    assert ANSWER == waiting.fields
    assert Counts() == counts


async def test_institutions_need_not_be_repeated() -> None:
    found, _ = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    found.answer({"t": "0210", "7": REQUEST["7"], "11": REQUEST["11"]})

    assert waiting.answer.done()


@pytest.mark.parametrize("change", [{"t": "0430"}, {"7": "1125000001"}, {"11": "000002"}, {"32": "1"}, {"33": "1"}])
async def test_an_answer_to_something_else_reaches_nobody(change: dict[str, str]) -> None:
    found, counts = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    found.answer(ANSWER | change)

    assert not waiting.answer.done()
    assert Counts(unmatched=1) == counts


async def test_a_second_answer_is_a_duplicate_before_and_after_its_request_is_closed() -> None:
    found, counts = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    for _ in range(2):
        found.answer(ANSWER)
    found.close(waiting)
    found.answer(ANSWER)

    assert Counts(duplicate=2) == counts


async def test_an_answer_after_a_request_gave_up_is_late_and_one_more_a_duplicate() -> None:
    found, counts = matcher()
    found.close(found.open(REQUEST, ONE, bare=False))
    for _ in range(2):
        found.answer(ANSWER)

    assert Counts(late=1, duplicate=1) == counts


async def test_the_answer_to_a_lost_connections_request_is_late() -> None:
    found, counts = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    found.lose(ONE, "lost")
    with pytest.raises(OutcomeUnknown, match="lost"):
        await waiting.answer
    found.close(waiting)
    found.answer(ANSWER)

    assert Counts(late=1) == counts


async def test_a_lost_connection_takes_only_its_own_requests_along() -> None:
    found, _ = matcher()
    lost = found.open(REQUEST, ONE, bare=False)
    kept = found.open(REQUEST | {"11": "000002"}, OTHER, bare=False)
    found.lose(ONE, "lost")

    assert [True, False] == [lost.answer.done(), kept.answer.done()]
    assert isinstance(lost.answer.exception(), OutcomeUnknown)


async def test_the_same_identifiers_are_refused_while_they_are_open() -> None:
    found, _ = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    with pytest.raises(OutcomeUnknown):
        found.open(REQUEST, OTHER, bare=False)
    found.close(waiting)
    found.open(REQUEST, OTHER, bare=False)


@pytest.mark.parametrize("bounced", [REQUEST, ANSWER], ids=["the request itself", "an answer"])
async def test_a_bounced_message_ends_its_request_in_doubt(bounced: dict[str, str]) -> None:
    found, _ = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    found.reject(bounced, "10001")
    with pytest.raises(OutcomeUnknown, match="bounced"):
        await waiting.answer


async def test_a_bounced_message_that_nobody_can_read_ends_nothing() -> None:
    found, _ = matcher()
    waiting = found.open(REQUEST, ONE, bare=False)
    found.reject({}, "10001")

    assert not waiting.answer.done()


async def test_what_was_finished_is_remembered_within_a_bound() -> None:
    found, counts = matcher()
    for n in range(FINISHED_MAX + 1):
        found.close(found.open(REQUEST | {"11": f"{n:06d}"}, ONE, bare=False))
        await asyncio.sleep(0)
    for n in (0, 1, FINISHED_MAX):
        found.answer(ANSWER | {"11": f"{n:06d}"})

    assert Counts(unmatched=1, late=2) == counts
    assert FINISHED_MAX == len(found._finished)


async def test_requests_for_answers_without_a_mac_are_counted_while_they_are_open() -> None:
    found, _ = matcher()
    waiting = found.open(REQUEST, ONE, bare=True)
    assert 1 == found.bare
    found.close(waiting)
    assert 0 == found.bare
