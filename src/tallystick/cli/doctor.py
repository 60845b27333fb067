"""`tallystick doctor`: look at everything a platform needs, and say what to do about what is wrong."""

import asyncio
import sys

import click
from msgspec import Struct

from tallystick.bootstrap import Layout
from tallystick.cli import checks, output
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.checks import Check
from tallystick.config import FILE_NAME
from tallystick.errors import TallystickError


class Finding(Struct, frozen=True, kw_only=True):
    """The outcome of one check; `remedy` is there when it failed."""

    check: str
    ok: bool
    detail: str
    remedy: str | None = None


class Report(Struct, frozen=True, kw_only=True):
    """All findings as one document."""

    ok: bool
    findings: tuple[Finding, ...]


@click.command(
    cls=Command,
    examples="""
    tallystick doctor
    tallystick --data /srv/tallystick doctor --json
    """,
)
@pass_app
def doctor(app: App) -> None:
    """Check everything the platform needs.

    That is: settings, modes of files, keys, certificates, revocation list, store, clock, connectors, listener. Ends
    with exit code 1 when any check fails; each failure names its remedy.
    """
    findings = asyncio.run(examine(Layout(app.data)))
    report = Report(ok=all(finding.ok for finding in findings), findings=findings)
    if app.as_json:
        output.write_json(report)
    else:
        output.write_table(findings, ("ok", "check", "detail", "remedy"))
    sys.exit(0 if report.ok else 1)


async def examine(layout: Layout) -> tuple[Finding, ...]:
    """Make every check, whatever the others found; where there is no platform at all, only the first one."""
    needed = checks.CHECKS if (layout.root / FILE_NAME).exists() else checks.CHECKS[:1]
    return tuple([await _examine(check, layout) for check in needed])


async def _examine(check: Check, layout: Layout) -> Finding:
    try:
        return Finding(check=check.name, ok=True, detail=await check.look(layout))
    except TallystickError as error:
        detail = error.detail
    except OSError as error:
        detail = f"{error.strerror or type(error).__name__}"
    return Finding(check=check.name, ok=False, detail=detail, remedy=check.remedy)
