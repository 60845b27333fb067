"""What is said of content that cannot be read: the place, never the value."""

import pytest

from tallystick.errors import Malformed
from tallystick.secret import Secret
from tallystick.security.unseal import content_decoder, read_content
from tallystick.wire.part import PartContent

DECODER = content_decoder(PartContent)
HEAD = '{"policy":"card","element":{"kind":"phone","phone":"+8613800138000"}'


def detail(text: str) -> str:
    with pytest.raises(Malformed) as refusal:
        read_content(text.encode(), DECODER)
    assert refusal.value.__suppress_context__
    return refusal.value.detail


def test_the_place_of_a_wrong_type_is_named() -> None:
    assert "$.order.amount" in detail(HEAD + ',"order":{"payee":"x","amount":"1","currency":"CNY"}}')
    assert "$.fields" in detail(HEAD + ',"fields":{"pan":1}}')


@pytest.mark.parametrize(
    "text",
    [
        HEAD + ',"CANARY":1}',
        HEAD + ',"fields":{"pan":CANARY}}',
        '{"policy":"card","element":{"kind":"CANARY"}}',
        '{"policy":"card","element":{"kind":"phone","phone":"1","CANARY":1}}',
        HEAD + ',"fields":{"pan":' + "[" * 3_000 + '"CANARY"',
        HEAD + ',"fields":{"pan":["CANARY"]}}',
        "CANARY",
    ],
)
def test_nothing_of_the_content_is_repeated(text: str) -> None:
    assert "CANARY" not in detail(text)


def test_secret_fields_come_out_masked() -> None:
    content = read_content((HEAD + ',"fields":{"pan":"6212142600000000043"}}').encode(), DECODER)
    assert isinstance(content.fields["pan"], Secret)
    assert "6212142600000000043" not in repr(content)
