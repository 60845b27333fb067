"""Ask another process of this machine at its listener on the loopback address."""

from typing import Final

import httpx2

ANSWER_S: Final = 2.0  # s a process may take to answer a probe or a scrape


class LoopbackAsker:
    """Ask over HTTP on this machine (`service.worker_process.Asker`)."""

    def __init__(self) -> None:
        self._http = httpx2.AsyncClient(trust_env=False, timeout=ANSWER_S)

    async def get(self, port: int, path: str) -> bytes | None:
        """Return the body, whatever the status: a process that is not ready says why."""
        try:
            return (await self._http.get(f"http://127.0.0.1:{port}{path}")).content
        except httpx2.HTTPError:
            return None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
