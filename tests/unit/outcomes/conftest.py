"""A world of its own for each test of this stage."""

import outcome_world
import pytest


@pytest.fixture
async def world() -> outcome_world.World:
    return await outcome_world.world()
