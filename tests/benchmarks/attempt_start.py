"""What it spares an attempt to be forked from a process that has everything imported.

    python tests/benchmarks/attempt_start.py --pairs 5

Attempts at one small study, in turn from a server that is started for it, as a process of its own would be, and from one that
stays. The last line is one JSON object; times are seconds from the call of the engine to its outcome.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from threading import Event

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders.ct_series import CtSeries, ct_images, write_images
from builders.jobs import job
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.job_records import InputFile, JobSpec, OutcomeKind, StudySpec

LIMITS = EngineLimits(time_limit_s=600, memory_limit_bytes=0)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name, closing(LocalEngine(LIMITS)) as staying:
        folder = Path(name)
        spec = small_job(folder / "study")
        first_s = seconds(staying, spec, folder / "first")
        anew, forked = [], []
        for number in range(pairs):
            with closing(LocalEngine(LIMITS)) as fresh:
                anew.append(seconds(fresh, spec, folder / f"anew {number}"))
            forked.append(seconds(staying, spec, folder / f"forked {number}"))
    report = {
        "benchmark": "attempt_start",
        "first_s": first_s,
        "anew_s": anew,
        "forked_s": forked,
        "spared_s": round(statistics.median(anew) - statistics.median(forked), 2),
        "forked_of_anew": round(statistics.median(forked) / statistics.median(anew), 3),
    }
    sys.stdout.write(json.dumps(report) + "\n")


def small_job(folder: Path) -> JobSpec:
    """A job over 20 images of 32 x 32."""
    series = CtSeries(shape=(20, 32, 32), spacing_mm=(10.0, 10.0, 10.0))
    paths = write_images(folder, ct_images(series))
    inputs = tuple(InputFile(path=path, sha256=sha256(path.read_bytes()).hexdigest()) for path in paths)
    return job(StudySpec(study_instance_uid="1.2.3", acquired_at=None, inputs=inputs))


def seconds(engine: LocalEngine, spec: JobSpec, folder: Path) -> float:
    """How long the engine takes for one attempt."""
    folder.mkdir()
    began_s = time.monotonic()
    outcome = engine.run(spec, folder, keep_going=lambda: True, stop=Event())
    took_s = time.monotonic() - began_s
    assert outcome, folder
    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    return round(took_s, 2)


if __name__ == "__main__":
    main()
