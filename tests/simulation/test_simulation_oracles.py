"""Each oracle of the simulation is seen to catch a bug; one that never caught any may not be able to."""

import pytest
from sim_bugs import BUGS, Bug
from sim_judge import oracles
from sim_run import simulate

SEEDS_MAX = 400  # seeds within which a planted bug has to be found


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_found(bug: Bug) -> None:
    with bug.planted():
        found = any(bug.oracle in dict(simulate(seed).findings) for seed in range(SEEDS_MAX))
    assert found, f"{SEEDS_MAX} seeds and {bug.oracle} did not find: {bug.name}"


def test_every_oracle_has_a_bug_to_find_and_a_claim() -> None:
    assert set(oracles()) == {bug.oracle for bug in BUGS}
    assert all(oracles().values())
