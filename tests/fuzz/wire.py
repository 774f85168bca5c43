"""Mutated conversations against a running listener.

    python tests/fuzz/wire.py --cases 20000 --seed 1

Conversations of real senders (pynetdicom, and DCMTK where it is installed) are recorded, changed at random and said to a
listener in a process of its own. No exception may end a thread, and a real sender must be served throughout. The last line
is one JSON object. Exit code 1 when something was wrong; the seed repeats the same cases.
"""

import argparse
import json
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders.wire_fuzz import fuzz


def main() -> int:
    """Run the cases; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=4)
    arguments = parser.parse_args()
    # pydicom warns of each malformed value.
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(Path(folder), cases=arguments.cases, seed=arguments.seed, clients=arguments.clients)
    sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 1 if report.uncaught or report.partial_files_left else 0


if __name__ == "__main__":
    sys.exit(main())
