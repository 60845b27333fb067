"""What people give to commands: secrets by prompt, standard input or private files, never by the command line."""

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tallystick.adapters.connectors.kinds import load_kinds
from tallystick.cli.output import Failure
from tallystick.crypto.tls import OTHERS
from tallystick.secret import Secret
from tallystick.security.fields import FIELD_NAMES
from tallystick.security.orders import check_order
from tallystick.wire.part import (
    BackEndElement,
    CodeElement,
    InstitutionElement,
    PhoneElement,
    WireElement,
    WireOrder,
)

FILE_MAX: Final = 64 * 1024  # bytes of a file of fields, a password or a back end's settings
FIELD_LIST: Final = ", ".join(sorted(FIELD_NAMES))
FIELDS_REMEDY: Final = f"Write an object of texts, named: {FIELD_LIST}."
ASK: Final = "-"
"""In the place of a value: ask for it, or read the next line of standard input."""

file_path = click.Path(exists=True, dir_okay=False, path_type=Path)
new_path = click.Path(path_type=Path)


class CommaList(click.ParamType[tuple[str, ...]]):
    """A list of words divided by commas, each one of `known` where that is given."""

    name = "list"

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = sorted(known)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split and check."""
        words = tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else tuple(value)
        if not all(words) or (self._known and not set(words) <= set(self._known)):
            self.fail(f"give words divided by commas, out of: {', '.join(self._known) or 'any'}", param, ctx)
        return words


class ConnectorName(click.ParamType[str]):
    """The name of a connector kind: built in, or of an installed plug-in."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Look the kind up; raises Misconfigured when a plug-in is broken."""
        known = load_kinds()
        if value not in known:
            self.fail(f"no connector is called {value!r}; there are: {', '.join(sorted(known))}", param, ctx)
        return str(value)


def ask(label: str, *, confirm: bool = False, optional: bool = False) -> Secret:
    """Ask for one secret: a hidden prompt on a terminal, else the next line of standard input."""
    if sys.stdin.isatty():
        default = "" if optional else None
        answer = click.prompt(
            label, default, hide_input=True, confirmation_prompt=confirm, show_default=False, err=True
        )
        return Secret(str(answer))
    line = sys.stdin.readline()
    if not line and not optional:
        raise click.UsageError(f"Standard input ended before: {label}.")
    return Secret(line.rstrip("\r\n"))


def read_private(path: Path) -> bytes:
    """Read a file that may hold secrets; Failure when its group or others may touch it."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & OTHERS:
            raise Failure(f"{path.name} may hold secrets and is open to others", f"chmod 600 {path.name}")
        content = file.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise Failure(f"{path.name} has more than {FILE_MAX} bytes", "Give a file of the documented form.")
    return content


def read_private_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a private file; the failure names the file, never what is in it."""
    content = read_private(path)
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # its text may quote a value
    raise Failure(f"{path.name} is not one JSON object", "Write it as the command's --help shows.")


def read_password(path: Path | None, label: str, *, confirm: bool = False) -> Secret:
    """Read a password from a private file's first line, or ask for it."""
    if path is None:
        return ask(label, confirm=confirm)
    lines = read_private(path).decode("utf-8", "replace").splitlines()
    if not lines:
        raise Failure(f"{path.name} is empty", "Write the password as its first line.")
    return Secret(lines[0])


def read_fields(asked: Sequence[str], path: Path | None) -> dict[str, Secret]:
    """Read a credential's fields: those of a private JSON file, and those asked for by name."""
    fields: dict[str, Secret] = {}
    for name, value in (read_private_object(path) if path is not None else {}).items():
        if name not in FIELD_NAMES or not isinstance(value, str):
            raise Failure("the file of fields has an unknown name or a value that is no text", FIELDS_REMEDY)
        fields[name] = Secret(value)
    for given in asked:
        name, equals, value = given.partition("=")
        if name not in FIELD_NAMES or (equals and value != ASK):
            raise click.BadParameter(f"name one of {FIELD_LIST}, with =- or nothing behind it", param_hint="--field")
        fields[name] = ask(name)
    return fields


def read_element(text: str) -> WireElement:
    """Read a correlation element; `-` in the place of a value asks for it."""
    given = {name: ask(name).reveal() if value == ASK else value for name, value in _pairs(text, "--element").items()}
    match given:
        case {"phone": phone, **rest} if not rest:
            return PhoneElement(phone)
        case {"code": code, **rest} if not rest:
            return CodeElement(code)
        case {"institution": institution, "number": number, **rest} if not rest:
            return InstitutionElement(institution, number)
        case {"institution": institution, "value": value, **rest} if not rest:
            return BackEndElement(institution, value)
        case _:
            known = "phone=, code=, institution=,number= or institution=,value="
            raise click.BadParameter(f"give one of: {known}", param_hint="--element")


def read_order(text: str) -> WireOrder:
    """Read an order; raises FieldInvalid for a value no platform would take."""
    try:
        order = msgspec.convert(_pairs(text, "--order"), WireOrder, strict=False)
    except msgspec.ValidationError:
        known = "payee=, amount= (minor units), currency= and, where there is one, reference="
        raise click.BadParameter(f"give {known}", param_hint="--order") from None
    return check_order(order)


def refuse_existing(path: Path) -> None:
    """Refuse a path that something is at: files are never overwritten, and refused before the work is done."""
    if path.exists():
        raise Failure(f"{path.name} is there already", "Name a file or directory that does not exist.")


def write_new(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that was not there before."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def _pairs(text: str, option: str) -> dict[str, str]:
    """Read name=value pairs divided by commas; double quotes keep a comma inside a value."""
    words = shlex.shlex(text, posix=True)
    words.whitespace, words.whitespace_split, words.quotes, words.commenters = ",", True, '"', ""
    pairs: dict[str, str] = {}
    wrong = click.BadParameter(
        'give name=value pairs divided by commas; a value with a comma stands in "quotes"', param_hint=option
    )
    try:
        items = list(words)
    except ValueError:
        raise wrong from None
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or name.strip() in pairs:
            raise wrong
        pairs[name.strip()] = value
    return pairs
