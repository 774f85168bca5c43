"""The command line as it is, whose worker forks its attempts from `quick_server`."""

from pathlib import Path
from unittest import mock

from dicom_node.cli import main
from dicom_node.engine import EngineLimits, LocalEngine
from dicom_node.forking import ForkServer

QUICK_SERVER = Path(__file__).with_name("quick_server.py")


def _quick_engine(limits: EngineLimits) -> LocalEngine:
    return LocalEngine(limits, server=ForkServer((str(QUICK_SERVER),)))


if __name__ == "__main__":
    with mock.patch("dicom_node.work.LocalEngine", _quick_engine):
        main()
