"""One fuzz target under Atheris, which follows new paths through the code; `in_process.py --engine atheris` runs it.

    python tests/fuzz/guided.py TARGET FOLDER [options of libFuzzer]

It ends at a limit among the options, or with exit code 77 at the first finding.
"""

import logging
import shlex
import sys
import warnings
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

with atheris.instrument_imports(include=["config", "dicom_node", "pynetdicom", "storage"]):
    from builders.fuzz_cases import TARGETS


def main() -> None:
    """Run the target; does not return."""
    program, target, *options = sys.argv
    # pydicom warns of each malformed value.
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # With -merge=1 libFuzzer runs this command again, by a shell.
    atheris.Setup([shlex.join((sys.executable, program, target)), *options], TARGETS[target].take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
