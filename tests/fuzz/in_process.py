"""Mutated bytes for everything that reads what others wrote, in this process.

    python tests/fuzz/in_process.py --cases 500000 --seed 1
    python tests/fuzz/in_process.py --target header --hex 01ff...
    python tests/fuzz/in_process.py --engine atheris --seconds 150 [--target header] [--keep]

Only the documented errors may leave a target. The last line is one JSON object. Exit code 1 when something else did;
the seed repeats the same cases, `--hex` one of them. Atheris looks for cases that reach more code, and `--keep` keeps those
in the repository.
"""

import argparse
import json
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders.fuzz_cases import TARGETS, run_cases
from builders.guided_fuzz import keep_what_it_found, run_guided


def main() -> int:
    """Run the cases; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=sorted(TARGETS), help="only this one")
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    parser.add_argument("--seconds", type=int, default=150, help="for each target of Atheris")
    parser.add_argument("--keep", action="store_true", help="what Atheris found to reach more code")
    parser.add_argument("--hex", help="this case of the target alone, with its traceback")
    arguments = parser.parse_args()
    if arguments.hex and not arguments.target:
        parser.error("--hex needs --target")
    names = [arguments.target] if arguments.target else sorted(TARGETS)
    if arguments.engine == "atheris":
        return _run_guided(names, arguments)
    # pydicom warns of each malformed value.
    warnings.simplefilter("ignore")
    if arguments.hex:
        TARGETS[arguments.target].take(bytes.fromhex(arguments.hex))
        return 0
    targets = {name: TARGETS[name] for name in names}
    reports = run_cases(arguments.cases, seed=arguments.seed, targets=targets)
    summary = {
        "seed": arguments.seed,
        "cases": sum(report.cases for report in reports.values()),
        "uncaught": sum(report.uncaught for report in reports.values()),
        "targets": {name: asdict(report) for name, report in reports.items()},
    }
    sys.stdout.write(json.dumps(summary) + "\n")
    return 1 if summary["uncaught"] or not summary["cases"] else 0


def _run_guided(names: list[str], arguments: argparse.Namespace) -> int:
    """Run targets under Atheris, one after the other; the exit code."""
    reports: dict[str, dict[str, object]] = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            report = run_guided(name, Path(folder), f"-max_total_time={arguments.seconds}", seed=arguments.seed)
            kept = keep_what_it_found(name, Path(folder)) if arguments.keep else 0
        reports[name] = asdict(report) | {"kept": kept}
    sys.stdout.write(json.dumps({"seed": arguments.seed, "targets": reports}) + "\n")
    return 1 if any(report["said"] for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
