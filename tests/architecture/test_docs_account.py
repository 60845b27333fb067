"""The pages about account systems and REST back ends against the code: settings, messages, magic amounts, vector."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from tallystick.adapters.connectors.account_answers import ELSEWHERE
from tallystick.adapters.connectors.account_settings import AccountSettings
from tallystick.crypto import rsa_sign
from tallystick.testing.sandbox import account_rules, rest_rules
from tallystick.testing.sandbox.http_failures import FAILURES
from tallystick.wire import account, rest

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
ACCOUNT = (REFERENCE / "account-back-end.md").read_text()
REST = (REFERENCE / "rest-back-end.md").read_text()
SANDBOXES = (REFERENCE / "sandboxes.md").read_text()


def section(page: str, title: str) -> str:
    found = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert found, title
    return found


def messages(page: str, title: str) -> list[bytes]:
    return [text.encode() for text in re.findall(r"```json\n(.*?)```", section(page, title), re.DOTALL)]


def test_the_page_names_every_setting_and_no_other() -> None:
    named = re.findall(r"^\| `(\w+)` \|", section(ACCOUNT, "Settings"), re.MULTILINE)
    assert sorted(AccountSettings.__struct_fields__) == sorted(named)


@pytest.mark.parametrize(
    ("page", "title", "kinds"),
    [
        (ACCOUNT, "`POST <base>/v1/payments/pay`", [account.PayRequest, account.PayAnswer]),
        (ACCOUNT, "`POST <base>/v1/payments/inquiryPayment`", [account.InquiryAnswer]),
        (
            ACCOUNT,
            "`POST <platform>/v1/notifications/{institution}`",
            [account.PaymentResult, account.Acknowledgement],
        ),
        (REST, "`GET <base>/v1/authorisations/{payment_key}`", [rest.RequestStatus]),
        (
            REST,
            "`POST <base>/v1/authorisations/{payment_key}/reversal`",
            [rest.ReversalRequest, rest.ReversalResponse],
        ),
        (REST, "`POST <platform>/v1/outcomes`", [rest.OutcomeNotice]),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("`") else "",
)
def test_each_message_of_a_page_has_its_form_and_shows_every_member(
    page: str, title: str, kinds: list[type[msgspec.Struct]]
) -> None:
    shown = messages(page, title)
    for text, kind in zip(shown, kinds, strict=True):
        msgspec.json.decode(text, type=kind)
        assert set(kind.__struct_encode_fields__) == set(json.loads(text))


@pytest.mark.parametrize(
    "address", [account.PAY, account.INQUIRE, account.CANCEL, account.HEALTH, account.NOTIFICATIONS]
)
def test_the_page_names_every_address(address: str) -> None:
    assert re.search(rf"^## `POST <(base|platform)>{re.escape(address)}`$", ACCOUNT, re.MULTILINE)


@pytest.mark.parametrize(
    "text",
    [
        f"{rsa_sign.BITS_MIN} to {rsa_sign.BITS_MAX} bits and the exponent {rsa_sign.EXPONENT}",
        f"1 to {rsa_sign.KEY_VERSION_MAX}",
        f"`{account.CREDENTIAL_TYPE}`",
        f'bind("{account.CREDENTIAL_CONTEXT}"',
        ", ".join(f"`{code}`" for code in sorted(ELSEWHERE)),
        *(f"`{code}`" for code in (account.IN_PROCESS, account.NOT_FOUND, account.CANCELLED, account.INCONSISTENT)),
    ],
)
def test_the_page_says_what_the_code_holds(text: str) -> None:
    assert text in re.sub(r"\s+", " ", ACCOUNT)


@pytest.mark.parametrize(
    ("title", "declines"), [("REST back end", rest_rules.DECLINES), ("Account system", account_rules.DECLINES)]
)
def test_the_table_of_a_sandbox_has_every_ending_and_no_other(title: str, declines: dict[str, str]) -> None:
    endings = re.findall(r"^\| `…(\w+)` \|", section(SANDBOXES, title), re.MULTILINE)
    assert sorted([*declines, *FAILURES]) == sorted(endings)
