"""Sockets of listeners that are bound once and shared by all processes that serve on them (docs/decisions/0027).

The process that starts others binds and hands over; the others inherit, by number, and accept from one queue of the
kernel's. A process that stops accepting so loses no connection that was waiting: another one takes it.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from tallystick.errors import Misconfigured

VARIABLE: Final = "TALLYSTICK_SOCKETS"  # names and numbers of the sockets handed over: gateway=5,merchant=6
BACKLOG: Final = 1024  # connections the kernel queues
FIRST_FD: Final = 3  # below are the standard streams


def bind(host: str, port: int) -> socket.socket:
    """Bind and listen on the first address of a host, 0 for a free port; raises Misconfigured when that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setblocking(False)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound.bind(address)
            bound.listen(BACKLOG)
        except OSError:
            bound.close()
            raise
    except OSError as refusal:
        raise Misconfigured(f"cannot listen on {host} port {port}: {refusal.strerror}") from refusal
    return bound


def port_of(bound: socket.socket) -> int:
    """Return the port a socket is bound to."""
    port: int = bound.getsockname()[1]
    return port


def hand_over(sockets: Mapping[str, socket.socket]) -> str:
    """Write the value of `VARIABLE` for a child that inherits these sockets under the numbers they have here."""
    return ",".join(f"{name}={bound.fileno()}" for name, bound in sockets.items())


def inherited(environ: Mapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """Take the sockets that were handed to this process, none without `VARIABLE`; no child of it inherits them.

    Raises Misconfigured when a number is none of a listening socket: the process refuses to guess where to serve.
    """
    taken: dict[str, socket.socket] = {}
    for pair in filter(None, environ.get(VARIABLE, "").split(",")):
        name, _, number = pair.partition("=")
        taken[name] = _listening(name, int(number) if number.isascii() and number.isdigit() else -1)
    return taken


def _listening(name: str, number: int) -> socket.socket:
    if number < FIRST_FD:
        raise Misconfigured(f"{VARIABLE} has no number for {name}")
    try:
        found = socket.socket(fileno=number)
        accepts = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        raise Misconfigured(f"{VARIABLE} names no socket for {name}") from None
    if not accepts:
        found.detach()  # whatever it is, it is not ours to close
        raise Misconfigured(f"{VARIABLE} names a socket that does not listen for {name}")
    os.set_inheritable(number, False)
    return found
