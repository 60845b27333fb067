"""Which ASGI server hands the client certificate to the application, and what does mutual TLS cost with each?

Run `python -m bench.transport`: each server echoes 1.8 kB bodies over mTLS on one core, pinned; the load comes from the
other. Rounds alternate between the servers, so that a noisy neighbour hits all; the server's CPU time for one request
is the figure to compare, since a neighbour on the same core does not count in it. Writes bench/results/transport.json.
"""

import asyncio
import json
import os
import platform
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tallystick.adapters.ca_files import FileCa, RevocationList
from tallystick.crypto.ca import CHANNEL, DAY_MS, PLATFORM, Profile
from tallystick.crypto.tls import client_context, server_context
from tallystick.crypto.x509 import make_csr, new_private_key, read_certificate
from tallystick.runtime import Millis
from tallystick.service.server import PEER, Listener, PeerProtocol

RESULT = Path(__file__).parent / "results" / "transport.json"
SERVERS = ("tallystick", "uvicorn", "uvicorn_h11", "granian", "hypercorn")
CONNECTIONS = 16
ROUNDS = 5
ROUND_S = 1.0
WARM_UP_S = 0.4
HANDSHAKES = 100
PAIRS = 100  # short and many: a neighbour's burst spoils few of them
BODY = b"x" * 1800
REQUEST = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)
QUESTION = b"GET /peer HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echo the body; on /peer say whether the client certificate is anywhere in the scope."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"] == "/peer":
        tls = (scope.get("extensions") or {}).get("tls", {})
        body = b"yes" if scope.get(PEER) or tls.get("client_cert_chain") else b"no"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# The servers, each in its own process


def serve(name: str, directory: Path, port: int) -> None:
    os.sched_setaffinity(0, {0})
    chain, key, trust = directory / "platform.pem", directory / "platform.key", directory / "ca" / "trust.pem"
    if name == "granian":
        return serve_granian(chain, key, trust, port)
    if name == "hypercorn":
        return serve_hypercorn(chain, key, trust, port)
    context = server_context(chain, key, trust)
    if name == "tallystick":
        return uvloop.run(serve_tallystick(context, port))
    http = "h11" if name == "uvicorn_h11" else "httptools"
    return uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http=http,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        log_level="warning",
        lifespan="off",
        ssl_context_factory=lambda *_: context,
    )


async def serve_tallystick(context: ssl.SSLContext, port: int) -> None:
    async with Listener(app, host="127.0.0.1", port=port, context=context):
        await asyncio.Event().wait()


def serve_granian(chain: Path, key: Path, trust: Path, port: int) -> None:
    import granian  # noqa: PLC0415
    from granian.constants import Interfaces, Loops  # noqa: PLC0415

    granian.Granian(
        "bench.transport:app",
        port=port,
        interface=Interfaces.ASGINL,
        loop=Loops.uvloop,
        log_enabled=False,
        ssl_cert=chain,
        ssl_key=key,
        ssl_ca=trust,
        ssl_client_verify=True,
    ).serve()


def serve_hypercorn(chain: Path, key: Path, trust: Path, port: int) -> None:
    from hypercorn.asyncio import serve as hypercorn_serve  # noqa: PLC0415
    from hypercorn.config import Config  # noqa: PLC0415

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile, config.ca_certs = str(chain), str(key), str(trust)
    config.verify_mode = ssl.CERT_REQUIRED
    config.alpn_protocols = ["http/1.1"]
    config.loglevel = "ERROR"
    uvloop.run(hypercorn_serve(app, config))  # type: ignore[arg-type]  # our scope type is looser


# The load


class Caller(asyncio.Protocol):
    """Send the next request as soon as the last answer is whole; every answer has the length of the first."""

    def __init__(self) -> None:
        self.answers = 0
        self.missing = 0
        self.length = 0
        self.first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport: Any = transport
        transport.write(REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Count the answer's bytes; a whole answer releases the next request."""
        if not self.length:
            self.first += data
            head = self.first.find(b"\r\n\r\n")
            if head < 0:
                return
            assert b" 200 " in self.first[:20], self.first[:200]
            self.length = self.missing = head + 4 + len(BODY)
            data = self.first
        self.missing -= len(data)
        if self.missing <= 0:
            assert self.missing == 0, "an answer of another length"
            self.missing = self.length
            self.answers += 1
            self.transport.write(REQUEST)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children (granian serves from a child)."""
    process = Path("/proc") / str(pid)
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    children = (process / "task" / str(pid) / "children").read_text().split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


async def load(context: ssl.SSLContext, port: int, pid: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    callers = []
    for _ in range(CONNECTIONS):
        _, caller = await loop.create_connection(Caller, "127.0.0.1", port, ssl=context, server_hostname="localhost")
        callers.append(caller)
    await asyncio.sleep(WARM_UP_S)
    before, began = sum(c.answers for c in callers), time.perf_counter()
    own, served = time.process_time(), cpu_seconds(pid)
    await asyncio.sleep(ROUND_S)
    took, own, served = time.perf_counter() - began, time.process_time() - own, cpu_seconds(pid) - served
    answers = sum(c.answers for c in callers) - before
    for caller in callers:
        caller.transport.abort()
    return {"rps": round(answers / took), "cpu_us": round(served / answers * 1e6, 1), "load_cpu": round(own / took, 2)}


async def ask(context: ssl.SSLContext, port: int, question: bytes = QUESTION) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    writer.write(question)
    answer = await reader.read()
    writer.transport.abort()
    return answer


async def accepts_without_certificate(trust: Path, port: int) -> bool:
    try:
        return b" 200 " in await ask(client_context(trust), port)
    except OSError:
        return False


async def handshakes(context: ssl.SSLContext, port: int) -> int:
    began = time.perf_counter()
    for _ in range(HANDSHAKES):
        await ask(context, port)
    return round(HANDSHAKES / (time.perf_counter() - began))


# The run


def certify(ca: FileCa, directory: Path, name: str, profile: Profile, uri: str) -> tuple[Path, Path]:
    key = new_private_key()
    csr = make_csr(key, uri=uri, common_name=name)
    dns = ["localhost"] if profile.server else []
    chain = ca.issue(csr, profile, uri=uri, dns=dns, now=Millis(int(time.time() * 1000)), life=DAY_MS)
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    for path, data in zip(paths, (chain, key), strict=True):
        path.write_bytes(data)
        path.chmod(0o600)
    return paths


async def wait_for(context: ssl.SSLContext, port: int) -> None:
    for _ in range(100):
        try:
            await ask(context, port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            return
    raise TimeoutError(port)


async def measure(servers: dict[str, tuple[int, int]], trust: Path, context: ssl.SSLContext) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for port, _ in servers.values():
        await wait_for(context, port)
    for name, (port, _) in servers.items():
        results[name] = {
            "certificate_reaches_app": b"yes" in (await ask(context, port)).split(b"\r\n\r\n")[-1],
            "accepts_no_certificate": await accepts_without_certificate(trust, port),
            "new_connections_per_s": await handshakes(context, port),
            "rounds": [],
        }
    for _ in range(ROUNDS):
        for name, (port, pid) in servers.items():
            results[name]["rounds"].append(await load(context, port, pid))
    for result in results.values():
        result["rps"] = statistics.median(r["rps"] for r in result["rounds"])
        result["cpu_us"] = statistics.median(r["cpu_us"] for r in result["rounds"])
        result["load_cpu"] = max(r["load_cpu"] for r in result["rounds"])
    return results


class Nowhere(asyncio.Transport):
    """A transport that swallows what is written: the protocol class alone is left to measure."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002  # the base class names it
        """Know nothing."""
        return default

    def is_closing(self) -> bool:
        """Stay open."""
        return False

    def write(self, data: Any) -> None:
        """Forget it."""

    def close(self) -> None:
        """Have nothing to close."""


async def protocol_us(protocol_class: type[HttpToolsProtocol], number: int = 400) -> float:
    config = uvicorn.Config(
        app, http=protocol_class, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
    )
    config.load()
    protocol = protocol_class(config, ServerState(), {})
    protocol.connection_made(Nowhere())
    began = time.process_time()
    for _ in range(number):
        protocol.data_received(REQUEST)
        while not protocol.cycle.response_complete:  # noqa: ASYNC110  # the response runs in a task of its own
            await asyncio.sleep(0)
    took = time.process_time() - began
    protocol.connection_lost(None)
    return took / number * 1e6


async def added_us(base: type[HttpToolsProtocol], other: type[HttpToolsProtocol]) -> dict[str, float]:
    """Return what `other` adds to one request over `base`.

    Each pair runs back to back and the order alternates: a shared core drifts by more than the difference looked for,
    so that the least of each side, taken from different moments, once gave a negative cost.
    """
    differences = []
    for index in range(PAIRS):
        first = await protocol_us(other if index % 2 else base)
        second = await protocol_us(base if index % 2 else other)
        differences.append(first - second if index % 2 else second - first)
    low, _, high = statistics.quantiles(differences, n=4)
    return {"median": round(statistics.median(differences), 2), "q1": round(low, 2), "q3": round(high, 2)}


def small_costs(ca: FileCa, leaf_pem: bytes) -> dict[str, Any]:
    der = ssl.PEM_cert_to_DER_cert(
        leaf_pem.decode().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----"
    )
    peer = read_certificate(der)
    revocation = RevocationList(ca.crl, ca.issuer)
    now = Millis(int(time.time() * 1000))

    def micros(call: Any, number: int) -> float:
        return round(min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6, 3)

    ticks = iter(range(now, now + 10**9, 1_000))
    return {
        "peer_protocol_adds_us": uvloop.run(added_us(HttpToolsProtocol, PeerProtocol)),
        "same_protocol_adds_us": uvloop.run(added_us(HttpToolsProtocol, HttpToolsProtocol)),  # the noise
        "read_certificate_us": micros(lambda: read_certificate(der), 2_000),
        "revocation_check_us": micros(lambda: revocation.check(peer, now), 50_000),
        "revocation_check_with_stat_us": micros(lambda: revocation.check(peer, Millis(next(ticks))), 5_000),
    }


def main() -> None:
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        ca = FileCa.create(directory / "ca", name="bench", now=Millis(int(time.time() * 1000)))
        certify(ca, directory, "platform", PLATFORM, "tallystick:platform:bench")
        chain, key = certify(ca, directory, "shop", CHANNEL, "tallystick:channel:ch_shop")
        ports = {name: 18440 + index for index, name in enumerate(SERVERS)}
        command = [sys.executable, "-m", "bench.transport", "serve"]
        processes = [subprocess.Popen([*command, name, temporary, str(port)]) for name, port in ports.items()]  # noqa: S603
        servers = {name: (port, process.pid) for (name, port), process in zip(ports.items(), processes, strict=True)}
        try:
            results = uvloop.run(measure(servers, ca.trust, client_context(ca.trust, chain, key)))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(10)
        costs = small_costs(ca, chain.read_bytes())
    versions = {
        name: version(name) for name in ("uvicorn", "uvloop", "httptools", "granian", "hypercorn", "cryptography")
    }
    report = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "openssl": ssl.OPENSSL_VERSION},
        "versions": versions,
        "load": {"connections": CONNECTIONS, "body_bytes": len(BODY), "rounds": ROUNDS, "round_s": ROUND_S},
        "servers": results,
        "costs": costs,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(report, indent=1) + "\n")
    for name, result in results.items():
        print(
            f"{name:12} {result['rps']:6} rps  {result['cpu_us']:6} us of CPU a request"
            f"  {result['new_connections_per_s']:4} new connections/s"
            f"  certificate reaches app: {result['certificate_reaches_app']}"
            f"  (load generator at {result['load_cpu']:.0%})"
        )
    print(costs)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
