"""How custodians give their shares: hidden, one after the other, or as files in a pipe."""

import sys
from pathlib import Path

import click

from tallystick.cli.inputs import ask, read_private
from tallystick.crypto.key_shares import KeyShare, parse
from tallystick.errors import Misconfigured
from tallystick.secret import Secret

shares_option = click.option(
    "--shares-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="A private file with enough shares, a line each; - for standard input. Without it custodians are asked.",
)


def read_shares(path: Path | None) -> Secret:
    """Read shares from a private file or a pipe, else ask custodians."""
    if path is None and sys.stdin.isatty():
        return ask_shares()
    if path is None or str(path) == "-":
        return Secret(sys.stdin.read())
    return Secret(read_private(path).decode("utf-8", "replace"))


def ask_shares() -> Secret:
    """Ask custodians for their shares until there are enough; nothing typed is shown, a slip is asked again."""
    given: list[KeyShare] = []
    while not given or len(given) < given[0].ceremony.threshold:
        of = f" of {given[0].ceremony.threshold}" if given else ""
        typed = ask(f"Custodian {len(given) + 1}{of}, your share")
        try:
            given.append(_fitting(parse(typed), given))
        except Misconfigured as error:
            click.echo(f"not taken: {error}", err=True)
    return Secret("\n".join(share.text().reveal() for share in given))


def _fitting(share: KeyShare, given: list[KeyShare]) -> KeyShare:
    """Return a share that goes with the others; raises Misconfigured, so that its custodian corrects it at once."""
    if any(other.number == share.number for other in given):
        raise Misconfigured("this share was given already: the next custodian gives theirs")
    if given and share.ceremony != given[0].ceremony:
        raise Misconfigured("this share is of another ceremony than the first one")
    return share
