"""What a merchant attaches to a payment: kept, given back, and acted on by nobody here."""

from urllib.parse import urlsplit

from tallystick import limits
from tallystick.assembly.model import Attachment
from tallystick.errors import FieldInvalid


def check_attachment(attachment: Attachment) -> Attachment:
    """Return an attachment that may be kept; raises FieldInvalid.

    1. Metadata has few entries, with short names and values that no terminal or log is steered by.
    2. A return address is https, names a host and no user, and has a bounded length; http is for this machine only.
    """
    # 1.
    if len(attachment.metadata) > limits.METADATA_MAX:
        raise FieldInvalid(f"metadata has at most {limits.METADATA_MAX} entries", field="metadata")
    for name, value in attachment.metadata.items():
        if not 1 <= len(name) <= limits.METADATA_NAME_MAX or len(value) > limits.METADATA_VALUE_MAX:
            raise FieldInvalid("a metadata name or value is too long", field="metadata")
        if not (name + value).isprintable():
            raise FieldInvalid("metadata is of printable characters", field="metadata")
    # 2.
    if attachment.return_url is not None:
        _check_url(attachment.return_url)
    return attachment


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise FieldInvalid("this is no address", field="return_url") from None
    here = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= limits.URL_MAX
    if not plain or not parts.hostname or "@" in parts.netloc or not (here or parts.scheme == "https"):
        raise FieldInvalid("a return address is https, with a host and without a user", field="return_url")
