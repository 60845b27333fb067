"""docs/reference/messages.md says what the code does: codes, policies, fields, bounds, and a vector that opens."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick import errors, limits
from tallystick.adapters.keys.opening import SUITES
from tallystick.assembly.element import CODE_ALPHABET
from tallystick.assembly.facts import PaymentState
from tallystick.assembly.policy import BUILT_IN
from tallystick.crypto.hpke import OpeningKey, Suite
from tallystick.crypto.httpsig import verify_response
from tallystick.crypto.signing import HmacKey
from tallystick.runtime import Millis
from tallystick.sdk.keys import REFRESH_MS
from tallystick.sdk.requests import PaymentBinding
from tallystick.security.fields import FIELD_NAMES
from tallystick.security.model import Arrival, Sender
from tallystick.security.orders import CURRENCIES
from tallystick.security.unseal import content_decoder, info_of, open_envelope, read_content, read_envelope
from tallystick.security.verify import verify
from tallystick.service.problems import problem
from tallystick.wire import part, payment

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "messages.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def table(title: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    rows = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def names(title: str) -> set[str]:
    return {row[0].strip("`") for row in table(title)}


def refusals(kind: type[errors.TallystickError] = errors.Refused) -> Iterator[type[errors.TallystickError]]:
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from refusals(below)


def public() -> list[type[errors.TallystickError]]:
    return [*refusals(), errors.StoreFailed, errors.TallystickError]


def test_the_page_lists_exactly_the_public_codes() -> None:
    listed = [row[0].strip("`") for row in table("Problem codes")]
    assert sorted(kind.code for kind in public()) == sorted(listed)


def test_each_code_stands_with_its_status_and_remedy() -> None:
    expected = {kind.code: (str(problem(kind("detail"), "req_a").status), kind.remedy) for kind in public()}
    assert expected == {row[0].strip("`"): (row[1], row[3]) for row in table("Problem codes")}


def test_the_page_lists_the_built_in_policies() -> None:
    def shapes(policy: Any) -> str:
        if policy.shares:
            return f"{policy.shares} shares"
        parts = []
        for shape in policy.parts:
            optional = [f"{name}?" for name in sorted(shape.optional)]
            parts.append("{" + ", ".join([*sorted(shape.required), *optional]) + "}")
        return " ".join(parts)

    assert {policy.name: shapes(policy) for policy in BUILT_IN} == {
        row[0].strip("`"): row[1] for row in table("Policies")
    }


def test_the_page_lists_the_fields_elements_and_suites() -> None:
    assert names("Fields") == FIELD_NAMES
    kinds = part.PhoneElement, part.CodeElement, part.InstitutionElement, part.BackEndElement
    expected = {
        str(kind.__struct_config__.tag): ", ".join(f"`{name}`" for name in kind.__struct_fields__) or "none"
        for kind in (*kinds, part.PageElement)
    }
    assert expected == {row[0].strip("`"): row[1] for row in table("Elements")}
    assert set(SUITES) == {row[0].split("`")[1] for row in table("The key list")}


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("PartContent", part.PartContent),
        ("Other contents", payment.NewPayment),
        ("Other contents", payment.Choice),
        ("Other contents", payment.IssuedNumber),
        ("Other contents", payment.IssuedValue),
        ("Other contents", payment.PaymentStatus),
    ],
)
def test_the_page_names_every_member_of_a_content(title: str, kind: type[msgspec.Struct]) -> None:
    text = section(title)
    assert [] == [name for name in kind.__struct_fields__ if not re.search(rf"\b{name}\b", text)]


def test_the_page_states_the_bounds_as_they_are() -> None:
    expected = [
        f"{limits.BODY_MAX} bytes",
        f"{limits.CONTENT_MAX} bytes",
        f"{limits.HEADER_MAX} bytes",
        f"{limits.FRESHNESS_MS // 1000} s",
        f"{limits.SECRET_LIFE_MS // 1000} s",
    ]
    assert expected == [row[1] for row in table("Bounds")]


@pytest.mark.parametrize(
    "text",
    [
        " ".join(sorted(CURRENCIES)),
        f"`{CODE_ALPHABET}`",
        f"{limits.CODE_LENGTH} letters and digits",
        f"institution id of {limits.INSTITUTION_ID_LENGTH} digits",
        f"{limits.BACKEND_VALUE_MIN} to {limits.BACKEND_VALUE_MAX} characters",
        f"{limits.PAN_MIN} to {limits.PAN_MAX} digits",
        f"payee of 1 to {limits.PAYEE_MAX} printable characters, reference of at most {limits.REFERENCE_MAX}",
        str(limits.AMOUNT_MAX),
        f"every {REFRESH_MS // 60_000} minutes",
        f"`nonce` is a fresh random text of {limits.NONCE_MIN} to {limits.NONCE_MAX} characters",
        f"at most {limits.ORDER_LIFE_MS // 1000} |",
        f"1 to {limits.IDEMPOTENCY_KEY_MAX} printable ASCII characters",
        "one of `" + " ".join(state.value for state in PaymentState) + "`",
    ],
)
def test_the_page_says_what_the_code_holds(text: str) -> None:
    assert text in re.sub(r"\s+", " ", PAGE)


VECTOR = msgspec.json.decode(re.findall(r"```json\n(.*?)```", section("Test vector"), re.DOTALL)[0])


class OneKey:
    """Hold the vector's opening key."""

    def __init__(self) -> None:
        self.key = OpeningKey.from_private(Suite.P256, bytes.fromhex(VECTOR["opening_key"]))

    def opener(self, key_id: str, now: Millis) -> OpeningKey:
        assert key_id == "pk_example"
        return self.key

    def published(self, now: Millis) -> str:
        raise NotImplementedError

    def rotate(self, now: Millis) -> list[str]:
        raise NotImplementedError


def test_the_vector_verifies_and_opens_to_its_content() -> None:
    mac = HmacKey(bytes.fromhex(VECTOR["mac_key"]))
    request = VECTOR["request"]
    arrival = Arrival(
        method=request["method"],
        target=request["target"],
        headers=request["headers"],
        body=request["body"].encode(),
        at=Millis(1_800_000_000_000),
    )
    verified = verify(arrival, Sender(id="ch_example", algorithm=mac.algorithm, sealed_key=b""), mac)
    expected = read_content(VECTOR["content"].encode(), content_decoder(part.PartContent))
    assert expected.order is not None
    bound = PaymentBinding.of("pay_example", expected.order).texts()
    clear = open_envelope(read_envelope(arrival), arrival, verified, OneKey(), bound)
    assert VECTOR["content"] == clear.decode()
    assert VECTOR["info"] == info_of("/v1/parts", "pk_example", verified, bound).hex()


def test_the_vectors_signature_base_is_what_its_signature_is_over() -> None:
    mac = HmacKey(bytes.fromhex(VECTOR["mac_key"]))
    headers = VECTOR["request"]["headers"]
    signature = msgspec.convert(headers["signature"].removeprefix("sig1=:").removesuffix(":"), bytes, strict=False)
    mac.verify(VECTOR["signature_base"].encode(), signature)
    assert VECTOR["signature_base"].endswith(headers["signature-input"].removeprefix("sig1="))


def test_the_vectors_answer_verifies_for_its_request() -> None:
    mac, answer = HmacKey(bytes.fromhex(VECTOR["mac_key"])), VECTOR["answer"]
    body = answer["body"].encode()
    params = verify_response(
        mac, status=answer["status"], body=body, headers=answer["headers"], nonce="AAECAwQFBgcICQoLDA0ODw"
    )
    assert params.keyid == "ch_example"
    assert json.loads(body)["status"] == "accepted"
