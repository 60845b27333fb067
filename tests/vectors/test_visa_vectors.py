"""Visa Developer's request token against the value that its recipe gives."""

import json
from pathlib import Path

from tallystick.crypto import pay_token
from tallystick.crypto.pay_token import ResourcePath
from tallystick.runtime import Millis
from tallystick.secret import Secret

VECTOR = json.loads((Path(__file__).parent / "data" / "rest_signing.json").read_text())["visa_x_pay_token"]


def test_the_token_is_that_of_the_recipe() -> None:
    resource = ResourcePath.SHORT.of(f"/vdp/{VECTOR['resource_path']}?{VECTOR['query_string']}")
    text = pay_token.request_text(resource, VECTOR["body"].encode())
    at, secret = Millis(int(VECTOR["timestamp"]) * 1000), Secret(VECTOR["secret"])
    assert VECTOR["token"] == pay_token.make(secret, at, text)
    pay_token.verify(secret, VECTOR["token"], text, at)
