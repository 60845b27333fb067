"""`tallystick receipt`: verify what the platform signed about a part, without the platform."""

from pathlib import Path
from typing import Final

import click

from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.inputs import file_path
from tallystick.cli.output import Failure
from tallystick.crypto.signing import Ed25519Public, load_public
from tallystick.errors import AlgorithmRefused, EnvelopeUnopenable, SignatureInvalid
from tallystick.sdk.receipts import verify_receipt
from tallystick.wire.receipt import PartProof

SIZE_MAX: Final = 64 * 1024  # bytes of a file; a receipt of a full order has about 4 kB
REMEDY: Final = "Get the receipt again from who was given it, and the identity key from the platform's operator."


@click.group(cls=Group, examples="tallystick receipt verify receipt.jws --identity identity.pem")
def receipt() -> None:
    """Verify receipts of parts."""


@receipt.command("verify", examples="tallystick receipt verify receipt.jws --identity identity.pem --json")
@click.argument("file", type=file_path)
@click.option("--identity", type=file_path, required=True, help="The platform's public identity key, PEM.")
@pass_app
def verify(app: App, file: Path, identity: Path) -> None:
    """Show what a receipt proves, once its signature holds.

    Needs no platform and no network. It proves which channel's part was bound to which payment text, and when; not
    that the payment was carried out.
    """
    key = load_public(_read(identity))
    if not isinstance(key, Ed25519Public):
        raise Failure("the identity key is no Ed25519 key", REMEDY)
    app.show(_proof(_read(file), key))


def _proof(token: bytes, key: Ed25519Public) -> PartProof:
    try:
        return verify_receipt(token.decode("ascii"), key)
    except (AlgorithmRefused, EnvelopeUnopenable, SignatureInvalid, UnicodeDecodeError) as error:
        detail = "this is no receipt that this identity key signed"
        raise Failure(detail, REMEDY, code=SignatureInvalid.code) from error


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SIZE_MAX)
