"""`tallystick doctor`: look at everything a platform needs, and say what to do about what is wrong."""

import asyncio
import sys
from enum import StrEnum
from typing import Final

import click
from msgspec import Struct

from tallystick.cli import output
from tallystick.cli.app import App, Command, pass_app
from tallystick.cli.checks.catalogue import CHECKS
from tallystick.cli.checks.model import Check, Scene, Weight
from tallystick.config import FILE_NAME
from tallystick.errors import TallystickError


class Result(StrEnum):
    """How a check ended; a FAILED one makes the exit code 1."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


WORST_FIRST: Final = (Result.FAILED, Result.WARNING)


class Finding(Struct, frozen=True, kw_only=True):
    """The outcome of one check: `seen` holds no secret, `remedy` is there unless all is well."""

    check: str
    result: Result
    seen: str
    remedy: str | None = None


class Report(Struct, frozen=True, kw_only=True):
    """All findings as one document; `ok` says that none failed."""

    ok: bool
    production: bool
    findings: tuple[Finding, ...]


@click.command(
    cls=Command,
    examples="""
    tallystick doctor
    tallystick --data /srv/tallystick doctor --production --json
    """,
)
@click.option("--production", is_flag=True, help="Fail for everything that must not go to production, too.")
@pass_app
def doctor(app: App, *, production: bool) -> None:
    """Check everything the platform needs.

    That is: settings, files, keys, certificates, TLS, store, clock, institutions, records, this machine. Without
    --production only what stops the platform from working fails, and the rest is a warning; with it, so does what is
    unsafe. Ends with exit code 1 when any check failed; each finding names its remedy. Run it as the user that serves,
    in the same environment.
    """
    findings = asyncio.run(examine(Scene.here(app.data), production=production))
    report = Report(
        ok=all(finding.result is not Result.FAILED for finding in findings), production=production, findings=findings
    )
    if app.as_json:
        output.write_json(report)
    else:
        _tell(findings)
    sys.exit(0 if report.ok else 1)


def _tell(findings: tuple[Finding, ...]) -> None:
    """Tell people what is wrong, the worst first; what is well is only counted."""
    wrong = [finding for finding in findings if finding.result is not Result.OK]
    wrong.sort(key=lambda finding: WORST_FIRST.index(finding.result))
    if wrong:
        output.write_table(wrong, ("result", "check", "seen", "remedy"))
    click.echo(
        f"{len(findings) - len(wrong)} of {len(findings)} checks found nothing wrong; --json tells what each saw"
    )


async def examine(scene: Scene, *, production: bool) -> tuple[Finding, ...]:
    """Make every check, whatever the others found; where there is no platform at all, only the first one."""
    needed = CHECKS if (scene.layout.root / FILE_NAME).exists() else CHECKS[:1]
    return tuple([await _examine(check, scene, production=production) for check in needed])


async def _examine(check: Check, scene: Scene, *, production: bool) -> Finding:
    try:
        return Finding(check=check.name, result=Result.OK, seen=await check.look(scene))
    except TallystickError as error:
        seen = error.detail or error.code
    except OSError as error:
        seen = error.strerror or type(error).__name__
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, and the others are still wanted
        seen = f"the check broke: {output.fault_of(error)}"
    fails = check.weight is Weight.STOPS or (production and check.weight is Weight.UNSAFE)
    return Finding(check=check.name, result=Result.FAILED if fails else Result.WARNING, seen=seen, remedy=check.remedy)
