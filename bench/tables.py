"""Write what was measured into the documents: `python -m bench.tables` renews the blocks between their marks.

Each row names the commit and how busy the machine was; a result that is not there leaves its rows out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bench.results import FOLDER, read, read_each

DOCS: Final = FOLDER.parent.parent / "docs"
BEGIN, END = "<!-- measured: python -m bench.tables -->", "<!-- end of measured -->"
HEAD: Final = "| What | Measured | Commit | Load |\n|---|---|---|---|\n"
GIB: Final = 2**30

Row = tuple[str, str, dict[str, Any]]


def capacity() -> Iterator[Row]:
    """Rate, cost and efficiency with each store."""
    for name, found in read_each("latest"):
        if "payments_per_core_s" not in found:
            continue
        yield f"payments a second per core of a node, {name}", f"{found['payments_per_core_s']:.0f}", found
        parts = f"{found['cpu_us']:.0f} µs of CPU; floor {found['floor_cpu_us']:.0f} µs"
        yield f"cost of a payment, {name}", parts, found
        ratios = (
            f"{found['efficiency_cpu']:.2f} of CPU alone; {found['efficiency']:.2f} with the floor's wait for the disk"
        )
        yield f"efficiency, {name}", ratios, found
        if "database_cpu_us" in found:
            yield "CPU of the database beside it", f"{found['database_cpu_us']:.0f} µs a payment", found


def latency() -> Iterator[Row]:
    """Waits under open-loop load."""
    for name, found in read_each("open_loop"):
        for share, told in found["at"].items():
            for what, text in (("answer", "a part answered"), ("delivery", "delivered")):
                waits = told[what]
                value = f"{waits['p50_ms']:.1f} / {waits['p99_ms']:.1f} / {waits['p99_9_ms']:.1f} ms"
                yield f"{text} at {share} of capacity ({told['rate']:.0f}/s), {name}: p50 / p99 / p99.9", value, found


def others() -> Iterator[Row]:
    """Workers, logins, memory, growth and soak."""
    for name, found in read_each("workers"):
        value = ", ".join(f"{row['workers']}: {row['cost_to_one']:.2f}" for row in found["by_workers"])
        yield f"CPU of a payment by workers, to that of one, {name}", value, found
    if (found := read("login")) is not None:
        value = f"{found['payments_per_s']:.0f}/s; {found['cpu_us'] / 1000:.1f} ms of CPU, "
        yield "login payments (embodiment 2)", value + f"{found['cpu_us_first_process']:.0f} µs where it serves", found
    if (found := read("memory")) is not None:
        value = f"{found['rss_bytes_per_open']:.0f} bytes of memory, {found['store_bytes_per_open']} on disk"
        yield "an open payment", value, found
    if (found := read("growth")) is not None:
        yield from growth(found)
    if (found := read("soak")) is not None and "rate" in found:
        value = f"{found['rss_slope_kib_per_hour'] / 1024:.1f} MiB and "
        value += f"{found['descriptor_slope_per_hour']:.0f} descriptors an hour"
        told = f"{found['payments']} payments, {found['refused'] + found['broken']} of their parts not accepted: "
        yield f"soak of {found['minutes']:.0f} minutes at {found['rate']:.0f}/s", told + value, found


def growth(found: dict[str, Any]) -> Iterator[Row]:
    """Cost by what the store holds, and what a payment leaves there."""
    sizes = found["sizes"]
    value = ", ".join(f"{size(row)}: {row['cpu_us']:.0f} µs" for row in sizes)
    yield "cost of a payment beside others that ended, SQLite", value, found
    full = max(sizes, key=lambda row: (row["finished"], -row["open"]))
    if full["finished"]:
        yield "an ended payment in the store, SQLite", f"{full['store_gib'] * GIB / full['finished']:.0f} bytes", found


def size(row: dict[str, Any]) -> str:
    """Name what a store held."""
    beside = f" and {row['open'] / 1e6:g} M open" if row["open"] else ""
    return f"{row['finished'] / 1e6:g} M{beside}"


def table(rows: Iterator[Row]) -> str:
    """Return a table of results."""
    lines = [f"| {what} | {value} | {of['commit']} | {of['load_average_before']} |" for what, value, of in rows]
    return HEAD + "\n".join(lines) + "\n"


def renewed(text: str, block: str) -> str:
    """Return a document with what stands between the marks replaced; raises ValueError when they are not there."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has no place for what is measured")
    return f"{before}{BEGIN}\n\n{block}\n{END}{after}"


def main() -> None:
    """Renew both documents."""
    whole = table(row for rows in (capacity(), latency(), others()) for row in rows)
    short = table(row for rows in (capacity(), latency()) for row in rows)
    for name, block in (("operations/scale.md", whole), ("guarantees.md", short)):
        path = Path(DOCS, name)
        path.write_text(renewed(path.read_text(encoding="utf-8"), block), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
