"""The gateway that every misuse is tried on."""

import pytest
from gateway_world import Edge, make_edge


@pytest.fixture
async def edge(caplog: pytest.LogCaptureFixture) -> Edge:
    return await make_edge(caplog)
