"""Logging of a serving process: one line an event on standard error, made from an allow-list of what may be told."""

import datetime as dt
import logging
from typing import Final

import msgspec

from tallystick.cli.output import fault_of
from tallystick.errors import TallystickError

OURS: Final = "tallystick"
FOREIGN_MAX: Final = 200  # characters of another library's message


class Line(logging.Formatter):
    """Write a record as one line of JSON or text.

    Told are time, the worker if there are several, level, logger, message, and of an exception its type and place.
    Messages of this package are made of ids, codes and details that hold no value (errors.py). Of another library only
    the first line of its template is told, without arguments: those may be bytes of a message. No exception's own text
    is told but a TallystickError's.
    """

    def __init__(self, *, as_json: bool, worker: int | None = None) -> None:
        super().__init__()
        self._as_json = as_json
        self._worker = {} if worker is None else {"worker": str(worker)}

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        entry = {
            "time": f"{dt.datetime.fromtimestamp(record.created, dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            **self._worker,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            entry["fault"] = fault_of(error)
            if isinstance(error, TallystickError):
                entry["detail"] = error.detail
        if self._as_json:
            return msgspec.json.encode(entry).decode()
        return " ".join(text.replace("\n", " ") for text in entry.values())


def configure(*, as_json: bool, level: str, worker: int | None = None) -> None:
    """Send this process's log to standard error; other libraries are heard from WARNING on.

    `worker` is the process's number among several that write to the same place.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(Line(as_json=as_json, worker=worker))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(OURS).setLevel(level.upper())


def _message(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] == OURS:
        return record.getMessage()
    return str(record.msg).partition("\n")[0][:FOREIGN_MAX]
