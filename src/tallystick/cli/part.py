"""`tallystick part`: send a part as a channel, and ask what became of it."""

from pathlib import Path

import click
from msgspec.structs import replace

from tallystick.cli.app import App, Group, pass_app
from tallystick.cli.clients import profile_option, with_client
from tallystick.cli.inputs import FIELD_LIST, ask, file_path, read_element, read_fields, read_order
from tallystick.cli.output import Failure
from tallystick.errors import Misconfigured
from tallystick.sdk.client import TallystickClient
from tallystick.sdk.pins import DevicePinKey
from tallystick.sdk.requests import PaymentBinding
from tallystick.wire.part import PartContent, PartReceipt


@click.group(cls=Group, examples="tallystick part show part_6wq4m2x7r5n3k8j1h9g0f2d4sa --profile profiles/shop")
def part() -> None:
    """Send parts of a credential, as a channel."""


@part.command(
    "send",
    examples="""
    tallystick part send --profile profiles/shop --policy card --element phone=+8613800138000 \\
        --field pan --order payee=Teahouse,amount=1250,currency=CNY
    tallystick part send --profile profiles/phone --policy card --element phone=+8613800138000 --field pin_block
    tallystick part send --profile profiles/app --policy card --element phone=+8613800138000 --pin
    tallystick part send --profile profiles/phone --policy account --element code=- --fields-file secret.json
    """,
)
@profile_option
@click.option("--policy", required=True, help="The split policy's name.")
@click.option("--element", required=True, help="phone=, code=, institution=,number= or institution=,value=.")
@click.option("--field", "fields", multiple=True, metavar="NAME[=-]", help=f"A field to ask for: {FIELD_LIST}.")
@click.option("--fields-file", type=file_path, help="A JSON object of fields, mode 0600.")
@click.option("--pin", "with_pin", is_flag=True, help="Ask for a PIN and send it under the profile's PIN key.")
@click.option("--order", help='payee=,amount=,currency=[,reference=]; a value with a comma stands in "quotes".')
@click.option("--payment", help="The created payment this part is for; --order then repeats its order exactly.")
@click.option("--idempotency-key", help="Give one to repeat this very part safely after a crash.")
@pass_app
def send(
    app: App,
    profile: Path,
    policy: str,
    element: str,
    fields: tuple[str, ...],
    fields_file: Path | None,
    order: str | None,
    *,
    with_pin: bool,
    payment: str | None,
    idempotency_key: str | None,
) -> None:
    """Seal, sign and send one part, and print its receipt.

    Values of fields never stand on the command line: they are asked for without echo, or are the next lines of standard
    input in the order named, or come from a file; a PIN is asked for last. In --element, - in the place of a value asks
    for it in the same way.
    """
    if payment is not None and order is None:
        raise click.UsageError("--payment needs --order: the part is bound to the order as it was created.")
    ordered = read_order(order) if order is not None else None
    binding = PaymentBinding.of(payment, ordered) if payment is not None and ordered is not None else None
    if with_pin and idempotency_key is not None:
        raise click.UsageError("--pin builds a new block each time, which an --idempotency-key cannot repeat.")
    content = PartContent(
        policy=policy,
        element=read_element(element),
        fields=read_fields(fields, fields_file),
        order=ordered if binding is None else None,
    )
    key = _pin_key(profile) if with_pin else None
    entered = ask("PIN") if with_pin else None

    async def call(client: TallystickClient) -> PartReceipt:
        sent = content
        if key is not None and entered is not None:
            token = await client.pin_token()
            sent = replace(content, fields={**content.fields, "pin_block": key.block(entered, token.token)})
        return await client.send_part(sent, payment=binding, idempotency_key=idempotency_key)

    app.show(with_client(profile, call))


def _pin_key(profile: Path) -> DevicePinKey:
    try:
        return DevicePinKey(profile if profile.is_dir() else profile.parent)
    except Misconfigured as error:
        raise Failure.of(error, "Have a key made for this profile: tallystick pin make-key.") from error


@part.command("show", examples="tallystick part show part_6wq4m2x7r5n3k8j1h9g0f2d4sa --profile profiles/shop")
@click.argument("part_id")
@profile_option
@pass_app
def show(app: App, part_id: str, profile: Path) -> None:
    """Ask what became of a part, as the channel that sent it."""
    app.show(with_client(profile, lambda client: client.part_status(part_id)))
