"""What the settings of all HTTP back ends have in common: where the back end is, and how settings are read."""

import re
from typing import Any, Final, TypeVar

import msgspec

from tallystick.crypto.x509 import HOST_NAME
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

SETTINGS_MAX: Final = 16 * 1024  # bytes; a few RSA keys in PEM are about 8 kB
TIMEOUT_MAX_S: Final = 60.0  # s
PORT_MAX: Final = 65_535

_BASE_URL: Final = re.compile(r"https://(?P<host>[^/:]+)(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9._~-]+)*")
_T = TypeVar("_T")


def check_address(base_url: str, server_name: str | None) -> None:
    """Refuse a base URL that is not https, or has a slash at its end, and a name no certificate has; Misconfigured."""
    url = _BASE_URL.fullmatch(base_url)
    if url is None or not HOST_NAME.fullmatch(url["host"]) or not 0 < int(url["port"] or 443) <= PORT_MAX:
        raise Misconfigured("base_url is not https://host[:port][/path] in lower case", field="base_url")
    if server_name is not None and not HOST_NAME.fullmatch(server_name):
        raise Misconfigured("server_name is no host name in lower case", field="server_name")


def decode(data: bytes, kind: type[_T], back_end: str) -> _T:
    """Decode settings from JSON; raises Misconfigured naming the kind of back end and the setting, never its value."""
    if len(data) > SETTINGS_MAX:
        raise Misconfigured(f"the settings have more than {SETTINGS_MAX} bytes")
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_secret)
    except msgspec.ValidationError as wrong:
        _, _, where = str(wrong).rpartition(" - at ")  # what stands before it may quote the value
    except (msgspec.DecodeError, UnicodeDecodeError):
        where = "the JSON itself"
    raise Misconfigured(f"the settings of the {back_end} back end are wrong: see {where}")


def _secret(kind: type, value: Any) -> Secret:
    if kind is not Secret or not isinstance(value, str):
        raise TypeError("a secret is given as text")
    return Secret(value)
