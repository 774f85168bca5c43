"""The figures of a soak: what counts as flat."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOAK = Path(__file__).resolve().parents[1] / "benchmarks" / "soak.py"
MIB_IN_10_MINUTES = 600


def samples(*, slope: float, more_threads_each: float = 0.0) -> str:
    """Of an hour, one every 10 s; the first ten minutes climb steeply."""
    lines = [
        {
            "part": part,
            "at_s": float(at_s),
            "rss_mib": 120 + min(at_s, 600) / 20 + slope * at_s / MIB_IN_10_MINUTES + (at_s // 10) % 3,
            "threads": int(8 + more_threads_each * at_s),
            "descriptors": 12,
        }
        for at_s in range(0, 3600, 10)
        for part in ("listen", "work")
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def figures(path: Path, content: str) -> tuple[int, dict[str, Any]]:
    """Exit code and figures."""
    path.write_text(content)
    done = subprocess.run([sys.executable, str(SOAK), "--of", str(path)], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("content", "is_flat"),
    [
        (samples(slope=0.5), True),
        (samples(slope=1.5), False),
        (samples(slope=0.0, more_threads_each=0.002), False),
    ],
    ids=["little memory", "too much memory", "more and more threads"],
)
def test_growth_after_the_warm_up_is_seen(tmp_path: Path, content: str, is_flat: bool) -> None:
    """Of memory by its slope, of threads and descriptors by their number."""
    code, told = figures(tmp_path / "samples.jsonl", content)
    assert [told[part]["is_flat"] for part in ("listen", "work")] == [is_flat, is_flat]
    assert code == (0 if is_flat else 1)
