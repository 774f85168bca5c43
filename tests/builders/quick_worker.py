"""The command line as it is, whose worker runs `quick_job` for its attempts."""

from pathlib import Path
from unittest import mock

from dicom_node.cli import main
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.forking import ForkServer

QUICK_JOB = Path(__file__).with_name("quick_job.py")


def _quick_engine(limits: EngineLimits) -> LocalEngine:
    return LocalEngine(limits, server=ForkServer((str(QUICK_JOB),)))


if __name__ == "__main__":
    with mock.patch("dicom_node.work.LocalEngine", _quick_engine):
        main()
