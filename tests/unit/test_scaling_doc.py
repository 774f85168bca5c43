"""The page about sizes past one machine shows what its program computes."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATIONS = ("network", "listener CPU", "disk", "index", "PACS", "GPU")
_QUEUES_GROW_S = 3600


def test_the_table_is_what_the_simulation_gives() -> None:
    """Row by row; several hosts share an index on PostgreSQL, whose figure is that of its own page."""
    program = ROOT / "tests" / "benchmarks" / "scaling_plan.py"
    done = subprocess.run(
        [sys.executable, program, "--burst", "0"], capture_output=True, text=True, timeout=300, check=True
    )
    plan = json.loads(done.stdout.splitlines()[-1])["plan"]
    page = (ROOT / "docs" / "scaling.md").read_text()
    shown = re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE)
    assert [[gpus, *cells.split(" | ")] for gpus, cells in shown] == [cells_of(row) for row in plan]
    measured = re.search(r"memory, PostgreSQL, two receiving processes \| \d+ \| (\d+)", postgresql_page())
    assert measured
    assert f"| index, several hosts | {measured[1]} images/s" in page


def postgresql_page() -> str:
    """What it says."""
    return (ROOT / "docs" / "postgresql.md").read_text()


def cells_of(row: dict[str, object]) -> list[str]:
    """A row as the page has it."""
    busy = row["busiest_hour"]
    seconds = f"{row['median_s']:g}, {row['p95_s']:g}" if row["median_s"] < _QUEUES_GROW_S else "queues grow"
    head = [str(row["gpus"]), f"{row['studies_a_day']:,}", str(row["listener_hosts"]), row["gpu_cost"], seconds]
    return [*head, *(f"{busy[name]:.2f}" for name in STATIONS), row["saturates_first"]]
