"""Draw the results for people: `python -m bench.plots` writes bench/results/*.png from the JSON beside them.

A picture is drawn of what is there; a result that was not measured is left out.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.results import FOLDER, read, read_each

DPI = 80
SIZE = (9.0, 4.2)  # inches
BLUE, ORANGE, GREEN, GREY = "#2563a8", "#c8641b", "#3a7d44", "#8a8a8a"


def capacity() -> Figure | None:
    """Floor and cost of a payment, and the rest: what is ours to cut."""
    rows = read_each("latest")
    if not rows:
        return None
    figure, axes = plt.subplots(figsize=(SIZE[0], 2.0 + 0.8 * len(rows)), layout="constrained")
    for place, (_, result) in enumerate(rows):
        left = 0.0
        for n, (part, us) in enumerate(result["floor_parts_cpu_us"].items()):
            label = part.replace("_", " ").replace(" x", " by ") if place == 0 else None
            axes.barh(place, us, left=left, color=plt.get_cmap("Blues")(0.3 + 0.14 * n), label=label)
            left += us
        rest = max(result["cpu_us"] - left, 0.0)
        axes.barh(place, rest, left=left, color=ORANGE, label="everything else" if place == 0 else None)
        told = f"  {result['payments_per_core_s']:.0f} payments/s per core"
        axes.text(left + rest, place, told, va="center", fontsize=9)
    axes.set_xlim(0, 1.4 * max(result["cpu_us"] for _, result in rows))
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_xlabel("µs of CPU for one payment: both parts, join, delivery, outcome")
    axes.set_title(f"What a payment costs, and the floor nobody gets below ({rows[0][1]['commit']})", fontsize=11)
    figure.legend(fontsize=8, ncol=6, loc="outside lower center")
    return figure


def latency() -> Figure | None:
    """Waits under open-loop load, to the last thousandth."""
    result = read("open_loop")
    if result is None:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE, sharey=True)
    for axes, what, title in (
        (left, "answer_curve", "a part is answered"),
        (right, "delivery_curve", "part two to the back end's yes"),
    ):
        for (share, told), colour in zip(result["at"].items(), (BLUE, ORANGE), strict=False):
            points = [(ms, 1 - percent / 100) for ms, percent in told[what] if percent < 100]
            label = f"{share} of capacity: {told['rate']:.0f}/s"
            axes.plot([ms for ms, _ in points], [rest for _, rest in points], color=colour, label=label)
        axes.set(xscale="log", yscale="log", xlabel="ms since the message was due", title=title)
        axes.grid(visible=True, which="both", alpha=0.25)
        axes.legend(fontsize=9)
    left.set_ylabel("share of messages that waited longer")
    left.set_yticks([1, 0.1, 0.01, 0.001], ["all", "1 in 10", "1 in 100", "1 in 1,000"])
    figure.suptitle(f"Open-loop latency, Poisson arrivals ({result['commit']})", fontsize=11)
    return figure


def growth() -> Figure | None:
    """Cost of a payment by what the store holds."""
    result = read("growth")
    if result is None:
        return None
    names = [size_name(row) for row in result["sizes"]]
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE)
    left.bar(names, [row["cpu_us"] for row in result["sizes"]], color=BLUE)
    left.set_ylabel("µs of CPU for one payment")
    left.set_title("cost of a payment")
    right.bar(names, [row["store_gib"] for row in result["sizes"]], color=GREY)
    right.set_ylabel("GiB")
    right.set_title("size of the store")
    for axes in (left, right):
        axes.tick_params(axis="x", labelsize=8)
    figure.suptitle(f"As the store grows ({result['commit']})", fontsize=11)
    return figure


def size_name(row: dict[str, Any]) -> str:
    """Name a size for people."""
    text = f"{row['finished'] / 1e6:g} M\nended"
    return f"{text},\n{row['open'] / 1e6:g} M open" if row["open"] else text


def workers() -> Figure | None:
    """CPU of a payment by the number of workers."""
    rows = read_each("workers")
    if not rows:
        return None
    figure, panels = plt.subplots(1, len(rows), figsize=SIZE, sharey=True, squeeze=False)
    for axes, (name, result) in zip(panels[0], rows, strict=True):
        counts = [str(row["workers"]) for row in result["by_workers"]]
        axes.bar(counts, [row["cpu_us"] for row in result["by_workers"]], color=GREEN)
        axes.set(xlabel="workers", ylabel="µs of CPU for one payment", title=f"{name} ({result['commit']})")
    return figure


def soak() -> Figure | None:
    """Memory, cost and waits over the time of a soak."""
    result = read("soak")
    if result is None or not result.get("samples") or "at_s" not in result["samples"][0]:
        return None
    minutes = [sample["at_s"] / 60 for sample in result["samples"]]
    figure, panels = plt.subplots(2, 2, figsize=(SIZE[0], 5.4), sharex=True)

    def panel(axes: Axes, title: str, colour: str, value: Callable[[dict[str, Any]], float]) -> None:
        axes.plot(minutes, [value(sample) for sample in result["samples"]], color=colour)
        axes.set_title(title, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.25)

    panel(panels[0][0], "resident memory of the server, MiB", BLUE, lambda s: s["rss_kib"] / 1024)
    panel(panels[0][1], "open file descriptors", GREEN, lambda s: s["descriptors"])
    panel(panels[1][0], "µs of CPU for one payment", ORANGE, lambda s: s["cpu_us"])
    panel(panels[1][1], "p99 to the back end's yes, ms", GREY, lambda s: s["delivery"]["p99_ms"])
    for axes in panels[1]:
        axes.set_xlabel("minutes")
    told = f"{result['payments']} payments at {result['rate']:g}/s, {result['refused']} refused"
    figure.suptitle(f"Soak: {told} ({result['commit']})", fontsize=11)
    return figure


PICTURES: dict[str, Callable[[], Figure | None]] = {
    "capacity": capacity,
    "latency": latency,
    "growth": growth,
    "workers": workers,
    "soak": soak,
}


def draw() -> Iterator[Path]:
    """Draw all pictures there are results for."""
    for name, picture in PICTURES.items():
        figure = picture()
        if figure is None:
            continue
        if figure.get_layout_engine() is None:
            figure.tight_layout()
        path = FOLDER / f"{name}.png"
        figure.savefig(path, dpi=DPI)
        plt.close(figure)
        yield path


if __name__ == "__main__":
    for drawn in draw():
        print(drawn)
