"""Bad content of every message: its own stable code, a remedy, nothing stored, nothing repeated."""

# ruff: noqa: RUF001  # full-width digits are what these tests are about

import asyncio
from typing import Any

import msgspec
import pytest
from gateway_world import CANARY, CARD, INSTITUTION, ORDER, PAN, PHONE, PIN_BLOCK, Edge, changed, judge, leaves

from tallystick import limits
from tallystick.testing.platform import HPKE_KEY, JWE_KEY

LOGIN = {**CARD, "policy": "login", "fields": {"username": "li"}}
PASSWORD = {**CARD, "policy": "login", "fields": {"password": "correct horse"}}
ACCOUNT = {**CARD, "policy": "account", "fields": {"account": "wallet:li"}}
SECRET = {**CARD, "policy": "account", "fields": {"secret": "s"}}
PIN = {**CARD, "fields": {"pin_block": PIN_BLOCK}}
SHARE: dict[str, Any] = {**CARD, "policy": "card-shares-2", "fields": {}, "share": {"index": 1, "data": "AAAA"}}
CODE = {**CARD, "element": {"kind": "code", "code": "2" * limits.CODE_LENGTH}}
NUMBER = {**CARD, "element": {"kind": "institution", "institution": INSTITUTION, "number": "48151623"}}
VALUE = {**CARD, "element": {"kind": "backend", "institution": INSTITUTION, "value": "member-4711"}}

NEW = {
    "policy": "card",
    "order": ORDER,
    "payer": {"phone": "+8613800138000", "email": "li@example.org"},
    "allowed": [INSTITUTION],
    "expires_in": 600,
}
CHOICE = {"policy": "card", "element": PHONE, "part": None}
ISSUED_NUMBER = {"username": "li", "number": "48151623"}
ISSUED_VALUE = {"value": "member-4711", "valid_for": 600}

MALFORMED, FIELD = (400, "malformed"), (400, "field_invalid")

PART_ROWS: list[tuple[dict[str, Any], str, object, tuple[int, str], str | None]] = [
    (CARD, "policy", ..., MALFORMED, None),
    (CARD, "policy", 7, MALFORMED, None),
    (CARD, "policy", CANARY, (422, "policy_unknown"), "policy"),
    (CARD, CANARY, 1, MALFORMED, None),
    (CARD, PAN, 1, MALFORMED, None),
    (CARD, "element", ..., MALFORMED, None),
    (CARD, "element", CANARY, MALFORMED, None),
    (CARD, "element.kind", ..., MALFORMED, None),
    (CARD, "element.kind", CANARY, MALFORMED, None),
    (CARD, "element." + CANARY, 1, MALFORMED, None),
    (CARD, "element.phone", ..., MALFORMED, None),
    (CARD, "element.phone", 8613800138000, MALFORMED, None),
    (CARD, "element.phone", "13800138000", FIELD, "phone"),
    (CARD, "element.phone", "+" + CANARY, FIELD, "phone"),
    (CARD, "element.phone", "+1", FIELD, "phone"),
    (CARD, "element.phone", "+99913800138000", FIELD, "phone"),
    (CARD, "element.phone", "+86138001380001380", FIELD, "phone"),
    (CODE, "element.code", "2" * (limits.CODE_LENGTH - 1), FIELD, "code"),
    (CODE, "element.code", "2" * (limits.CODE_LENGTH + 1), FIELD, "code"),
    (CODE, "element.code", "0OIZ" + "2" * (limits.CODE_LENGTH - 4), FIELD, "code"),
    (NUMBER, "element.number", "4815162", FIELD, "number"),
    (NUMBER, "element.number", "4815162a", FIELD, "number"),
    (NUMBER, "element.number", "4815162\u0663", FIELD, "number"),
    (NUMBER, "element.number", "4815162\u00b2", (202, ""), None),  # NFKC folds a superscript digit
    (NUMBER, "element.institution", "2000000", FIELD, "institution"),
    (VALUE, "element.value", "short", FIELD, "value"),
    (VALUE, "element.value", CANARY + "x" * limits.BACKEND_VALUE_MAX, FIELD, "value"),
    (VALUE, "element.value", CANARY + "\u0007", FIELD, "value"),
    (CARD, "fields", {}, FIELD, "fields"),
    (CARD, "fields", [PAN], MALFORMED, None),
    (CARD, "fields", {CANARY: CANARY}, FIELD, "fields"),
    (CARD, "fields", {"pan": PAN, "pin_block": PIN_BLOCK}, FIELD, "fields"),
    (CARD, "fields", {"expiry": "3012", "password": "correct horse"}, FIELD, "fields"),
    (CARD, "fields.pan", int(PAN), MALFORMED, None),
    (CARD, "fields.pan", [PAN], MALFORMED, None),
    (CARD, "fields.pan", {"digits": PAN}, MALFORMED, None),
    (CARD, "fields.pan", None, MALFORMED, None),
    (CARD, "fields.pan", "", FIELD, "fields.pan"),
    (CARD, "fields.pan", CANARY, FIELD, "fields.pan"),
    (CARD, "fields.pan", "6" * (limits.PAN_MIN - 1), FIELD, "fields.pan"),
    (CARD, "fields.pan", "6" * (limits.PAN_MAX + 1), FIELD, "fields.pan"),
    (CARD, "fields.pan", PAN[:-1] + "x", FIELD, "fields.pan"),
    (CARD, "fields.pan", PAN[:-1] + "\u0663", FIELD, "fields.pan"),
    (CARD, "fields.pan", PAN + "\n", (202, ""), None),
    (CARD, "fields.expiry", "3013", FIELD, "fields.expiry"),
    (CARD, "fields.expiry", "3000", FIELD, "fields.expiry"),
    (CARD, "fields.expiry", "12/30", FIELD, "fields.expiry"),
    (PIN, "fields.pin_block", "1234", FIELD, "fields.pin_block"),
    (PIN, "fields.pin_block", "0412348F0A3B5C7D", FIELD, "fields.pin_block"),
    (PIN, "fields.pin_block", "1312348F0A3B5C7D", FIELD, "fields.pin_block"),
    (PIN, "fields.pin_block", "14" + CANARY + "ABCD", FIELD, "fields.pin_block"),
    (ACCOUNT, "fields.account", CANARY, FIELD, "fields.account"),
    (ACCOUNT, "fields.account", "wallet:two words", FIELD, "fields.account"),
    (ACCOUNT, "fields.account", "wallet:" + "x" * limits.ACCOUNT_MAX, FIELD, "fields.account"),
    (SECRET, "fields.secret", "", FIELD, "fields.secret"),
    (SECRET, "fields.secret", CANARY + "x" * limits.PASSWORD_MAX, FIELD, "fields.secret"),
    (LOGIN, "fields.username", CANARY + "\u0000", FIELD, "fields.username"),
    (LOGIN, "fields.username", CANARY + "x" * limits.USERNAME_MAX, FIELD, "fields.username"),
    (PASSWORD, "fields.password", "", FIELD, "fields.password"),
    (PASSWORD, "fields.password", "x" * (limits.PASSWORD_MAX + 1), FIELD, "fields.password"),
    (SHARE, "fields", {"pan": PAN}, FIELD, "share"),
    (SHARE, "share", ..., FIELD, "share"),
    (SHARE, "share.index", 0, FIELD, "share"),
    (SHARE, "share.index", 3, FIELD, "share"),
    (SHARE, "share.index", -1, FIELD, "share"),
    (SHARE, "share.index", 10**40, FIELD, "share"),
    (SHARE, "share.index", "1", MALFORMED, None),
    (SHARE, "share.data", CANARY + "!", FIELD, "share.data"),
    (SHARE, "share.data", "AAAA\u00e9", FIELD, "share.data"),
    (SHARE, "share.data", "AAAAA", FIELD, "share.data"),
    (SHARE, "share.data", 7, MALFORMED, None),
    (SHARE, "share." + CANARY, 7, MALFORMED, None),
    (SHARE, "policy", "card", FIELD, "fields"),
    (CARD, "order", CANARY, MALFORMED, None),
    (CARD, "order.amount", 0, FIELD, "order.amount"),
    (CARD, "order.amount", -1, FIELD, "order.amount"),
    (CARD, "order.amount", limits.AMOUNT_MAX + 1, FIELD, "order.amount"),
    (CARD, "order.amount", 10**50, FIELD, "order.amount"),
    (CARD, "order.amount", 12.5, MALFORMED, None),
    (CARD, "order.amount", "1250", MALFORMED, None),
    (CARD, "order.amount", True, MALFORMED, None),
    (CARD, "order.currency", "cny", FIELD, "order.currency"),
    (CARD, "order.currency", CANARY, FIELD, "order.currency"),
    (CARD, "order.payee", "", FIELD, "order.payee"),
    (CARD, "order.payee", " \u3000 ", FIELD, "order.payee"),
    (CARD, "order.payee", CANARY + "x" * limits.PAYEE_MAX, FIELD, "order.payee"),
    (CARD, "order.payee", CANARY + "\u202e", FIELD, "order.payee"),
    (CARD, "order.reference", CANARY + "x" * limits.REFERENCE_MAX, FIELD, "order.reference"),
    (CARD, "order." + CANARY, 1, MALFORMED, None),
]


@pytest.mark.parametrize(("content", "path", "value", "expected", "field"), PART_ROWS)
async def test_a_part_with_a_wrong_field_is_refused_by_its_own_code(
    edge: Edge, content: dict[str, Any], path: str, value: object, expected: tuple[int, str], field: str | None
) -> None:
    before = edge.rows()
    reply = await edge.post(changed(content, path, value))
    if expected[0] == 202:
        assert 202 == reply.status
        return
    problem = judge(edge, reply, before)
    assert expected == (problem.status, problem.code)
    assert field is None or field == problem.field


@pytest.mark.parametrize("content", [CARD, PIN, LOGIN, PASSWORD, ACCOUNT, SECRET, SHARE, CODE, NUMBER, VALUE], ids=str)
async def test_what_the_rows_above_spoil_is_accepted_unspoilt(edge: Edge, content: dict[str, Any]) -> None:
    assert 202 == (await edge.post(content)).status


@pytest.mark.parametrize(
    "pan", ["６２１２１４２６０００００００００４３", "6212 1426 0000 0000 043", "6212-1426-0000-0000-043"]
)
async def test_full_width_digits_and_separators_are_accepted_and_folded(edge: Edge, pan: str) -> None:
    assert 202 == (await edge.post(changed(CARD, "fields.pan", pan))).status
    assert 202 == (await edge.post(PIN, who="phone")).status
    await asyncio.gather(*edge.carriers._tasks)
    (instruction,) = edge.world.connectors.sent()
    assert PAN == instruction.credential.pan.reveal()  # type: ignore[union-attr]


async def test_a_wrong_luhn_digit_only_warns(edge: Edge) -> None:
    reply = await edge.post(changed(CARD, "fields.pan", PAN[:-1] + "4"))
    assert (202, ["pan_luhn"]) == (reply.status, msgspec.json.decode(reply.body)["warnings"])


@pytest.mark.parametrize(
    "content", [CARD, SHARE, {**CARD, "fields": {"pin_block": PIN_BLOCK}}], ids=["pan", "share", "order"]
)
async def test_a_field_that_this_channel_may_not_send_is_refused(edge: Edge, content: dict[str, Any]) -> None:
    before = edge.rows()
    problem = judge(edge, await edge.post(content, who="keypad"), before)
    assert (403, "field_not_allowed") == (problem.status, problem.code)


HEAD = b'{"policy":"card","element":{"kind":"phone","phone":"+8613800138000"},"fields":'
BYTES_ROWS: list[tuple[bytes, tuple[int, str]]] = [
    (b"", MALFORMED),
    (b"null", MALFORMED),
    (b"[]", MALFORMED),
    (b'"' + CANARY.encode() + b'"', MALFORMED),
    (b"{", MALFORMED),
    (HEAD + b'{"pan":"' + CANARY.encode(), MALFORMED),
    (b'{"policy":"' + CANARY.encode() + b'\xff"}', MALFORMED),
    (b"\xef\xbb\xbf{}", MALFORMED),
    (b'{"policy":NaN}', MALFORMED),
    (HEAD + b'{"pan":"\\ud800' + CANARY.encode() + b'"}}', MALFORMED),
    (HEAD + b'{"pan":' + b"[" * 3_000 + b"]" * 900 + b"}}", MALFORMED),
    (HEAD + b'{"pan":' + b'{"a":' * 600 + b"1" + b"}" * 600 + b"}}", MALFORMED),
    (HEAD + b'{"pan":"' + PAN.encode() + b'"}}' + CANARY.encode(), MALFORMED),
    (HEAD + b'{"pan":"' + b"6" * limits.CONTENT_MAX + b'"}}', (413, "too_large")),
]


@pytest.mark.parametrize(("content", "expected"), BYTES_ROWS, ids=range(len(BYTES_ROWS)))
async def test_content_that_is_no_message_is_refused(edge: Edge, content: bytes, expected: tuple[int, str]) -> None:
    before = edge.rows()
    problem = judge(edge, await edge.post(content), before)
    assert expected == (problem.status, problem.code)


UNOPENABLE = (400, "envelope_unopenable")
ENVELOPE_ROWS: list[tuple[dict[str, Any], tuple[int, str], str | None]] = [
    ({"v": 2}, MALFORMED, None),
    ({"v": "1"}, MALFORMED, None),
    ({"v": None}, MALFORMED, None),
    ({"key_id": None}, MALFORMED, None),
    ({"key_id": CANARY}, (400, "key_unknown"), None),
    ({"key_id": ""}, (400, "key_unknown"), None),
    ({"format": CANARY}, MALFORMED, None),
    ({"format": "jwe"}, UNOPENABLE, None),
    ({"key_id": JWE_KEY}, UNOPENABLE, None),
    ({"key_id": JWE_KEY, "format": "jwe", "sealed": CANARY}, UNOPENABLE, None),
    ({"key_id": JWE_KEY, "format": "jwe", "sealed": CANARY + "\u00e9"}, UNOPENABLE, None),
    ({"sealed": 7}, MALFORMED, None),
    ({"sealed": ""}, UNOPENABLE, None),
    ({"sealed": CANARY + "!"}, FIELD, "sealed"),
    ({"sealed": CANARY + "\u00e9"}, FIELD, "sealed"),
    ({"sealed": "A" * 2_000}, UNOPENABLE, None),
    ({"payment": CANARY}, (404, "not_found"), "payment"),
    ({"payment": 7}, MALFORMED, None),
    ({CANARY: 1}, MALFORMED, None),
]


@pytest.mark.parametrize(("envelope", "expected", "field"), ENVELOPE_ROWS, ids=str)
async def test_a_wrong_envelope_is_refused_by_its_own_code(
    edge: Edge, envelope: dict[str, Any], expected: tuple[int, str], field: str | None
) -> None:
    before = edge.rows()
    problem = judge(edge, await edge.post(CARD, envelope=envelope), before)
    assert (*expected, field) == (problem.status, problem.code, problem.field)


OTHER_ROWS: list[tuple[str, str, dict[str, Any], str, object, tuple[int, str], str | None]] = [
    ("shop", "/v1/payments", NEW, "policy", CANARY, (422, "policy_unknown"), "policy"),
    ("shop", "/v1/payments", NEW, "order", ..., MALFORMED, None),
    ("shop", "/v1/payments", NEW, "order.payee", "", FIELD, "order.payee"),
    ("shop", "/v1/payments", NEW, "payer", {}, FIELD, "contact"),
    ("shop", "/v1/payments", NEW, "payer.phone", "+1" + CANARY, FIELD, "phone"),
    ("shop", "/v1/payments", NEW, "payer.email", CANARY, FIELD, "email"),
    ("shop", "/v1/payments", NEW, "payer.email", CANARY + "@" + "x" * 300 + ".org", FIELD, "email"),
    ("shop", "/v1/payments", NEW, "allowed", [CANARY], FIELD, "institution"),
    ("shop", "/v1/payments", NEW, "allowed", [7], MALFORMED, None),
    ("shop", "/v1/payments", NEW, "expires_in", 0, FIELD, "expires_in"),
    ("shop", "/v1/payments", NEW, "expires_in", 10**9, FIELD, "expires_in"),
    ("shop", "/v1/payments", NEW, CANARY, 1, MALFORMED, None),
    ("app", "/v1/choices", CHOICE, "policy", CANARY, (422, "policy_unknown"), "policy"),
    ("app", "/v1/choices", CHOICE, "element.phone", CANARY, FIELD, "phone"),
    ("app", "/v1/choices", CHOICE, "part", 7, MALFORMED, None),
    ("pc", "/v1/choices", CHOICE, "part", None, (403, "forbidden"), None),
    (INSTITUTION, "/v1/numbers", ISSUED_NUMBER, "username", "", FIELD, "username"),
    (INSTITUTION, "/v1/numbers", ISSUED_NUMBER, "username", CANARY, (404, "not_found"), None),
    (INSTITUTION, "/v1/numbers", ISSUED_NUMBER, "username", 7, MALFORMED, None),
    (INSTITUTION, "/v1/numbers", ISSUED_NUMBER, CANARY, 7, MALFORMED, None),
    (INSTITUTION, "/v1/values", ISSUED_VALUE, "value", "short", FIELD, "value"),
    (INSTITUTION, "/v1/values", ISSUED_VALUE, "value", CANARY + "x" * 64, FIELD, "value"),
    (INSTITUTION, "/v1/values", ISSUED_VALUE, "valid_for", 0, FIELD, "valid_for"),
    (INSTITUTION, "/v1/values", ISSUED_VALUE, "valid_for", 10**40, FIELD, "valid_for"),
    (INSTITUTION, "/v1/values", ISSUED_VALUE, "valid_for", "600", MALFORMED, None),
    ("pc", "/v1/values", ISSUED_VALUE, "valid_for", 600, (403, "certificate_wrong_purpose"), None),
    ("pc", "/v1/numbers", ISSUED_NUMBER, "number", "48151623", (403, "certificate_wrong_purpose"), None),
    (INSTITUTION, "/v1/parts", CARD, "policy", "card", (403, "certificate_wrong_purpose"), None),
    (INSTITUTION, "/v1/payments", NEW, "allowed", ["20000002"], FIELD, "allowed"),
    ("keypad", "/v1/payments", NEW, "policy", "card", (403, "field_not_allowed"), "order"),
    ("shop", "/v1/payments/pay_unknown/cancel", {}, CANARY, 1, MALFORMED, None),
]


@pytest.mark.parametrize(("who", "target", "content", "path", "value", "expected", "field"), OTHER_ROWS)
async def test_every_other_message_refuses_a_wrong_field_by_its_own_code(
    edge: Edge,
    who: str,
    target: str,
    content: dict[str, Any],
    path: str,
    value: object,
    expected: tuple[int, str],
    field: str | None,
) -> None:
    before = edge.rows()
    problem = judge(edge, await edge.post(changed(content, path, value), who=who, target=target), before)
    assert (*expected, field) == (problem.status, problem.code, problem.field)


ODD: tuple[object, ...] = (
    ..., None, 0, -1, 10**400, 1.5, True, "", [], {}, [CANARY], {CANARY: CANARY},
    CANARY * 300, "\u0000" + CANARY, "\u202e" + CANARY, "\ufdfa" * 40, CANARY + "１２",
)  # fmt: skip
MESSAGES: list[tuple[str, str, dict[str, Any]]] = [
    *(("pc", "/v1/parts", content) for content in (CARD, PIN, LOGIN, PASSWORD, ACCOUNT, SHARE, CODE, NUMBER, VALUE)),
    ("shop", "/v1/payments", NEW),
    ("app", "/v1/choices", CHOICE),
    (INSTITUTION, "/v1/numbers", ISSUED_NUMBER),
    (INSTITUTION, "/v1/values", ISSUED_VALUE),
]


@pytest.mark.parametrize(("who", "target", "content"), MESSAGES, ids=range(len(MESSAGES)))
async def test_no_odd_value_of_any_field_gives_anything_but_an_answer_or_a_judged_refusal(
    edge: Edge, who: str, target: str, content: dict[str, Any]
) -> None:
    refused = 0
    for path in leaves(content):
        for value in ODD:
            before = edge.rows()
            reply = await edge.post(changed(content, path, value), who=who, target=target)
            if reply.status >= 400:
                judge(edge, reply, before)
                refused += 1
    assert len(leaves(content)) * 8 < refused
    assert HPKE_KEY in edge.world.opening_keys.keys
