"""One merchants' listener over a platform in memory for each test."""

from collections.abc import AsyncIterator

import pytest
from merchant_world import MerchantWorld, merchant_world


@pytest.fixture
async def world() -> AsyncIterator[MerchantWorld]:
    made = await merchant_world()
    yield made
    made.feed.close()
