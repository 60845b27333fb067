"""`tallystick prove-erasure`: try every surviving key on every byte that is left."""

from pathlib import Path

import click

from tallystick.bootstrap.erasure import Proof, Trace, prove
from tallystick.bootstrap.office import Office
from tallystick.channels import operators
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.inputs import file_path, read_private_object
from tallystick.cli.output import Failure

CANARY_MIN = 6  # characters; a shorter one is found in random bytes too
REMEDY = (
    "Destroy old copies of the store and of key files, see that tallystick serve runs (it destroys keys on time), and "
    "run this again; of a payment that ended within the last 21 minutes the keys are still there."
)


@click.command(
    "prove-erasure",
    cls=Command,
    examples="""
    tallystick prove-erasure
    tallystick prove-erasure --also /var/log/tallystick --also /backup/tallystick --json
    tallystick prove-erasure --canaries test-cards.json
    """,
)
@click.option(
    "--also",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="A directory or file beside the data directory: logs, backups; repeat for more.",
)
@click.option("--canaries", type=file_path, help="A JSON object of values to look for, by name; mode 0600.")
@pass_app
def prove_erasure(app: App, also: tuple[Path, ...], canaries: Path | None) -> None:
    """Show that nothing of ended payments can be read any more.

    Tries every key that survives on every byte of the platform's directory, and looks for the values of --canaries in
    every usual encoding. Exit code 1 when anything is found. Keys of parts live 21 minutes: wait that long after the
    last payment.
    """
    wanted = read_private_object(canaries) if canaries is not None else {}
    if not all(isinstance(value, str) and len(value) >= CANARY_MIN for value in wanted.values()):
        raise click.UsageError(f"--canaries holds texts of at least {CANARY_MIN} characters.")

    async def work(desk: Office) -> Proof:
        return prove(desk, also, wanted)

    proof = app.at_desk(work, needs=operators.READ)
    if app.as_json or not proof.found:
        app.show(proof)
    else:
        app.show_all(proof.found, Trace.__struct_fields__)
    if proof.found:
        raise Failure(f"{len(proof.found)} traces of ended payments were found", REMEDY)
