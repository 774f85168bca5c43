"""The command line as it is, whose worker runs `quick_job` for its attempts."""

from functools import partial
from pathlib import Path
from unittest import mock

from dicom_node.cli import main
from dicom_node.engine import LocalEngine

QUICK_JOB = Path(__file__).with_name("quick_job.py")

if __name__ == "__main__":
    with mock.patch("dicom_node.work.LocalEngine", partial(LocalEngine, command=(str(QUICK_JOB),))):
        main()
