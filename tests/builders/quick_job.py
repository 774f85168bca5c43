"""The process of an attempt as it is, with the engine for plain shapes in the place of the networks."""

import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders.fake_engine import shape_engine
from dicom_node import job


def main() -> int:
    """Run the job of the folder named on the command line."""
    with (
        mock.patch("dicom_node.job.load_model_pack"),
        mock.patch("dicom_node.job.build_engine", lambda *_: shape_engine()),
    ):
        return job.main()


if __name__ == "__main__":
    sys.exit(main())
