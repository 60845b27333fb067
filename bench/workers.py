"""What more workers cost: CPU per payment with 1, 2 and 4 processes behind one port.

On a machine of two cores more workers carry no more payments; a flat cost says that they would on a bigger one.
"""

import itertools
from typing import Any

from bench.payments import in_temporary_folder, measure_payments
from bench.processes import server

COUNTS = (1, 2, 4)


async def workers(count: int, *, store: str = "sqlite") -> dict[str, Any]:
    """Measure the same load with each number of workers."""
    numbers: itertools.count[int] = itertools.count()
    rows = []
    async with in_temporary_folder(store) as made:
        for processes in COUNTS:
            async with server(made.data, "workers", str(processes)) as under:
                rows.append({"workers": processes, **await measure_payments(made, under, count, numbers)})
    alone = rows[0]["cpu_us"]
    return {"by_workers": [{**row, "cost_to_one": round(row["cpu_us"] / alone, 3)} for row in rows]}
