"""The X-Pay-Token: what it covers, and that it is refused for anything else."""

import pytest

from tallystick.crypto import pay_token
from tallystick.crypto.pay_token import ResourcePath
from tallystick.errors import SignatureInvalid
from tallystick.runtime import Millis
from tallystick.secret import Secret

NOW = Millis(1_767_225_600_789)
SECRET = Secret("a shared secret of forty characters long")
TEXT = pay_token.request_text("v1/authorizationsapikey=K", b'{"encData":"a.b.c.d.e"}')
TOKEN = pay_token.make(SECRET, NOW, TEXT)


@pytest.mark.parametrize(
    ("path", "target", "resource"),
    [
        (ResourcePath.SHORT, "/wallet/v1/authorizations?apikey=K", "v1/authorizationsapikey=K"),
        (ResourcePath.SHORT, "/vdp/helloworld", "helloworld"),
        (ResourcePath.SHORT, "/alone?apikey=K", "apikey=K"),
        (ResourcePath.WHOLE, "/wallet/v1/authorizations?apikey=K", "wallet/v1/authorizationsapikey=K"),
        (ResourcePath.WHOLE, "/psp/wallet/v1/health", "psp/wallet/v1/health"),
    ],
)
def test_it_covers_the_path_without_its_first_segment_or_whole_and_the_query(
    path: ResourcePath, target: str, resource: str
) -> None:
    assert resource == path.of(target)


def test_it_names_its_version_and_its_time_in_whole_seconds() -> None:
    assert TOKEN.startswith("xv2:1767225600:")
    assert len("xv2:1767225600:") + 64 == len(TOKEN)


@pytest.mark.parametrize("shift_s", [-pay_token.FRESH_S, 0, pay_token.FRESH_S])
def test_it_is_taken_two_minutes_before_and_after_its_time(shift_s: int) -> None:
    pay_token.verify(SECRET, TOKEN, TEXT, Millis(NOW + shift_s * 1000))


@pytest.mark.parametrize("shift_s", [-pay_token.FRESH_S - 1, pay_token.FRESH_S + 1])
def test_it_is_refused_outside_of_two_minutes(shift_s: int) -> None:
    with pytest.raises(SignatureInvalid):
        pay_token.verify(SECRET, TOKEN, TEXT, Millis(NOW + shift_s * 1000))


def test_another_secret_or_text_makes_another_token() -> None:
    for secret, text in ((Secret("another"), TEXT), (SECRET, TEXT + b" "), (SECRET, b"")):
        with pytest.raises(SignatureInvalid):
            pay_token.verify(secret, TOKEN, text, NOW)


@pytest.mark.parametrize(
    "token",
    [
        "",
        TOKEN.upper(),
        TOKEN[:-1],
        TOKEN + "0",
        TOKEN + "\n",
        f"{TOKEN}, {TOKEN}",
        TOKEN.replace("xv2", "x"),
        TOKEN.replace("1767225600", "1767225601"),
        TOKEN.replace("1767225600", "\u0661767225600"),
        "xv2:1767225600:" + "0" * 64,
    ],
    ids=["none", "upper case", "short", "long", "line end", "two", "version 1", "other time", "other digits", "zeros"],
)
def test_what_is_not_exactly_a_token_is_refused(token: str) -> None:
    with pytest.raises(SignatureInvalid):
        pay_token.verify(SECRET, token, TEXT, NOW)


def test_the_token_of_a_request_is_none_for_an_answer() -> None:
    resource, body = ResourcePath.SHORT.of("/wallet/v1/health?apikey=K"), b"{}"
    token = pay_token.make(SECRET, NOW, pay_token.request_text(resource, body))
    with pytest.raises(SignatureInvalid):
        pay_token.verify(SECRET, token, pay_token.response_text(200, resource, body), NOW)


def test_the_token_of_an_answer_covers_its_status() -> None:
    token = pay_token.make(SECRET, NOW, pay_token.response_text(409, "v1/health", b"{}"))
    with pytest.raises(SignatureInvalid):
        pay_token.verify(SECRET, token, pay_token.response_text(200, "v1/health", b"{}"), NOW)
