"""`tallystick demo`: play every scenario and show what the back ends recorded."""

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tallystick.cli.demo import payments, refusals
from tallystick.cli.demo.model import Result, play
from tallystick.cli.demo.world import world

SCENARIOS = (*payments.SCENARIOS, *refusals.SCENARIOS)


class Report(Struct, frozen=True, kw_only=True):
    """The whole demo as one document."""

    ok: bool
    scenarios: tuple[Result, ...]


@click.command()
@click.option("--once", is_flag=True, help="Play once and end (also what happens without it).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("--keep", is_flag=True, help="Keep the demo's folder and say where it is.")
def demo(*, once: bool, as_json: bool, keep: bool) -> None:  # noqa: ARG001 - `once` names what is the default
    r"""Play the main job on this machine: CA, platform, back ends, mail server, channels, all over real TLS.

    Outcomes are what the sandbox back ends recorded themselves. Ends with exit code 1 when any differs from what is
    expected.

    \b
    Examples:
      tallystick demo
      tallystick demo --once --json
    """
    console = Console(quiet=as_json)
    folder = Path(tempfile.mkdtemp(prefix="tallystick-demo-"))
    try:
        report = asyncio.run(_play_all(folder, console))
    finally:
        if keep:
            console.print(f"The demo's folder: {folder}")
        else:
            shutil.rmtree(folder)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
    sys.exit(0 if report.ok else 1)


async def _play_all(home: Path, console: Console) -> Report:
    started = time.perf_counter()
    console.print("Starting CA, platform, four sandbox back ends and a mail server, each as a process of its own …")
    async with world(home) as stage:
        console.print(f"… up after {time.perf_counter() - started:.1f} s. Playing {len(SCENARIOS)} scenarios.\n")
        results = [await play(scenario, stage, number) for number, scenario in enumerate(SCENARIOS)]
    report = Report(ok=all(result.expected == result.outcome for result in results), scenarios=tuple(results))
    console.print(_table(results))
    differing = sum(1 for result in results if result.expected != result.outcome)
    verdict = "All outcomes are as expected." if report.ok else f"{differing} outcomes differ."
    console.print(f"\n{verdict} Whole demo: {time.perf_counter() - started:.1f} s.")
    return report


def _table(results: list[Result]) -> Table:
    table = Table(title="What the back ends recorded", title_justify="left")
    for heading in ("", "scenario", "claims", "outcome", "ms"):
        table.add_column(heading, justify="right" if heading == "ms" else "left", overflow="fold")
    for result in results:
        same = result.expected == result.outcome
        outcome = result.outcome if same else f"{result.outcome}\n[red]expected: {result.expected}[/red]"
        claims = " ".join(str(claim) for claim in result.claims)
        table.add_row("[green]✓[/green]" if same else "[red]✗[/red]", result.name, claims, outcome, f"{result.ms:.0f}")
    return table
