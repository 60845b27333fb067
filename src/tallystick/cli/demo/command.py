"""`tallystick demo`: play every scenario and show what the back ends recorded."""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.demo import doubts, pages, payments, pins, refusals
from tallystick.cli.demo.model import Result, play
from tallystick.cli.demo.world import world
from tallystick.cli.inputs import new_path, refuse_existing

PRIVATE_DIRECTORY: Final = 0o700
SCENARIOS: Final = (*payments.SCENARIOS, *pages.SCENARIOS, *pins.SCENARIOS, *refusals.SCENARIOS)
WAVES: Final = doubts.WAVES


class Report(Struct, frozen=True, kw_only=True):
    """The whole demo as one document."""

    ok: bool
    scenarios: tuple[Result, ...]


@click.command(
    cls=Command,
    examples="""
    tallystick demo
    tallystick demo --once --json
    tallystick demo --folder demo-of-today
    """,
)
@click.option("--once", is_flag=True, help="Play once and end, also on a terminal.")
@click.option("--keep", is_flag=True, help="Keep the demo's folder and say where it is.")
@click.option("--folder", type=new_path, help="Play in this new folder, and keep it.")
@pass_app
def demo(app: App, *, once: bool, keep: bool, folder: Path | None) -> None:
    """Play the main job on this machine: CA, platform, back ends, mail server, channels, all over real TLS.

    Outcomes are what the sandbox back ends recorded themselves. Ends with exit code 1 when any differs from what is
    expected. On a terminal the payer's two pages stay open afterwards, for you to pay by hand, until you press Ctrl-C.
    """
    stay = not once and not app.as_json and sys.stdin.isatty() and sys.stdout.isatty()
    console = Console(quiet=app.as_json)
    if folder is not None:
        refuse_existing(folder)
        folder.mkdir(mode=PRIVATE_DIRECTORY, parents=True)
    home = folder or Path(tempfile.mkdtemp(prefix="tallystick-demo-"))
    try:
        report = asyncio.run(_play_all(home, console, stay=stay))
    finally:
        if keep or folder is not None:
            console.print(f"The demo's folder: {home}")
        else:
            shutil.rmtree(home)
    if app.as_json:
        click.echo(msgspec.json.encode(report).decode())
    sys.exit(0 if report.ok else 1)


async def _play_all(home: Path, console: Console, *, stay: bool) -> Report:
    started = time.perf_counter()
    console.print("Starting CA, platform, six sandbox back ends and a mail server, each as a process of its own …")
    async with world(home) as stage:
        count = len(SCENARIOS) + sum(map(len, WAVES))
        console.print(f"… up after {time.perf_counter() - started:.1f} s. Playing {count} scenarios.\n")
        by_hand = await pages.order_by_hand(stage) if stay else None
        told = [await play(scenario, stage, number) for number, scenario in enumerate(SCENARIOS)]
        console.print(_table(told))
        doubtful: list[Result] = []
        for wave in WAVES:
            first = len(told) + len(doubtful)
            doubtful += await asyncio.gather(*(play(each, stage, n) for n, each in enumerate(wave, first)))
        console.print(_matrix(doubtful))
        report = _judge([*told, *doubtful], started, console)
        if by_hand is not None:
            await pages.show_links(stage, by_hand, console)
            await _until_interrupted()
    return report


async def _until_interrupted() -> None:
    """Wait for Ctrl-C, so that the world is taken down in order after it."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)
    await stopped.wait()


def _judge(results: list[Result], started: float, console: Console) -> Report:
    report = Report(ok=all(result.expected == result.outcome for result in results), scenarios=tuple(results))
    differing = sum(1 for result in results if result.expected != result.outcome)
    verdict = "All outcomes are as expected." if report.ok else f"{differing} outcomes differ."
    console.print(f"\n{verdict} Whole demo: {time.perf_counter() - started:.1f} s.")
    return report


def _matrix(results: list[Result]) -> Table:
    """Show what becomes of a payment whose back end does this or that; a difference shows what was expected."""
    by_name = {result.name: result for result in results}
    table = Table(
        title="What becomes of a payment whose back end … (x: how often it is effective there)", title_justify="left"
    )
    for heading in ("", *doubts.NAMES):
        table.add_column(heading, overflow="fold")
    for mode in doubts.MODES:
        found = [by_name.get(f"{target} {mode.name}") for target in doubts.NAMES]
        table.add_row(mode.name, *(_cell(result) for result in found))
    return table


def _cell(result: Result | None) -> str:
    if result is None:
        return "-"
    if result.expected == result.outcome:
        return result.outcome
    return f"[red]✗ {result.outcome}; expected: {result.expected}[/red]"


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
