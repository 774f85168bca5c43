"""Two machines, PostgreSQL and a Ray cluster of three machines, with kills of everything that can be killed."""

from pathlib import Path

import pytest

from builders.machine_group import KINDS, machine_group, run_with_kills
from builders.postgres import why_no_postgres
from builders.ray_cluster import needs_ray

pytestmark = [
    needs_ray,
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_no_postgres()), reason="PostgreSQL is not installed: apt-get install postgresql"),
]


# pynetdicom leaves its socket to the garbage collection where nobody listens, as at a listener that was killed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_study_is_delivered_once_whatever_dies(tmp_path: Path) -> None:
    """A share of the run in docs/group-run.md: each kind of process is killed once."""
    with machine_group(tmp_path) as group:
        checked = run_with_kills(group, studies=6, kills=KINDS, seed=1)
        print("\n".join(group.log))  # noqa: T201  # the log of the run is the output of the test
    assert checked.studies_delivered == 6
