"""The settings: readable, and without what only a trial may have."""

from typing import Final

from tallystick.adapters.notify.smtp import SmtpSecurity
from tallystick.bootstrap.office import split_policies
from tallystick.bootstrap.parts import mail_and_sms
from tallystick.channels.model import ProposalKind
from tallystick.cli.checks.model import Check, Scene, Weight, refuse
from tallystick.cli.checks.published import is_default
from tallystick.config import FILE_NAME, PREFIX
from tallystick.errors import Misconfigured

SECRET_NAMES: Final = ("key", "password", "secret", "token")
ENCRYPTED: Final = frozenset({SmtpSecurity.TLS, SmtpSecurity.STARTTLS})


async def readable(scene: Scene) -> str:
    """Settings, split policies and carriers can be read."""
    loaded = scene.settings()
    policies = split_policies(loaded)
    carriers = mail_and_sms(loaded, scene.clock)
    return f"{len(policies)} split policies; notices by {', '.join(sorted(carriers)) or 'nothing: codes reach nobody'}"


async def default_secrets(scene: Scene) -> str:
    """No secret of the settings is one that documents, examples or other programs begin with (PCI DSS 2.2.2)."""
    loaded = scene.settings()
    given = {
        "smtp.password": loaded.smtp.password if loaded.smtp is not None else None,
        "sms.token": loaded.sms.token if loaded.sms is not None else None,
    }
    known = {name: secret.reveal() for name, secret in given.items() if secret is not None}
    refuse([f"{name} is a default that everybody knows" for name, text in known.items() if is_default(text)])
    return f"{len(known)} secrets in the settings, none a known default"


async def secrets_in_environment(scene: Scene) -> str:
    """No secret stands in the environment, which other processes, crash reports and child processes can read."""
    found = [name for name in sorted(scene.machine.environ) if name.startswith(PREFIX) and _names_secret(name)]
    refuse([f"{name} holds a secret" for name in found])
    return "no variable holds a secret"


async def mail_encryption(scene: Scene) -> str:
    """Codes and dynamic numbers travel to the mail server encrypted."""
    smtp = scene.settings().smtp
    if smtp is None:
        return "no mail server is set"
    if smtp.security not in ENCRYPTED:
        raise Misconfigured(f"smtp.security is {smtp.security}: codes travel in the clear")
    return f"smtp.security is {smtp.security}"


async def webhook_addresses(scene: Scene) -> str:
    """Webhooks go to public addresses only: else a channel lets the platform probe its own network."""
    if scene.settings().webhooks.allow_private:
        raise Misconfigured("webhooks.allow_private is on")
    return "webhooks go to public addresses only"


async def four_eyes(scene: Scene) -> str:
    """Routes, keys, certificates, limits and operators are changed by two persons (PCI DSS 6.5.1, ASVS 2.3.5)."""
    loaded = scene.settings()
    off = [kind.value for kind in ProposalKind if not getattr(loaded.four_eyes, kind.value)]
    alone = [] if loaded.routing.four_eyes else ["routing.four_eyes is off: one person can send payments elsewhere"]
    refuse(alone + [f"four_eyes.{kind} is off" for kind in off])
    return "others approve what one person proposes"


READABLE: Final = Check(
    "settings",
    Weight.STOPS,
    f"Correct {FILE_NAME} or the {PREFIX} variables; tallystick init makes a new one.",
    readable,
)
CHECKS: Final = (
    Check("default secrets", Weight.UNSAFE, "Have the provider give you a secret of your own.", default_secrets),
    Check(
        "secrets in the environment",
        Weight.ADVICE,
        "Write the secret into a file of mode 0600 and name it by the same variable with _FILE at its end.",
        secrets_in_environment,
    ),
    Check("mail encryption", Weight.UNSAFE, "Set security in [smtp] to tls or starttls.", mail_encryption),
    Check("webhook addresses", Weight.UNSAFE, "Remove allow_private from [webhooks].", webhook_addresses),
    Check(
        "four eyes",
        Weight.UNSAFE,
        "Set four_eyes in [routing] to true, and keys, ca, limits and operators in [four_eyes].",
        four_eyes,
    ),
)


def _names_secret(variable: str) -> bool:
    return variable.lower().endswith(SECRET_NAMES)
