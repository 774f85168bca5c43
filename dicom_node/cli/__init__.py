"""The command line: what administrators, engineers and scripts call."""

import sys

from dicom_node.cli.app import app
from dicom_node.cli.failures import exit_code_of, tell


def main() -> None:
    """Run one command and end the process: 0 done, 1 the operation failed, 2 wrong usage or configuration."""
    try:
        app(prog_name="dicom-node")
    except Exception as failure:  # noqa: BLE001  # the top: whatever is left over ends as an exit code
        tell(failure)
        sys.exit(exit_code_of(failure))
