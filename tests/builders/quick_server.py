"""The server of attempts as it is, with the engine for plain shapes in the place of the networks."""

import sys
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dicom_node import fork_server
from dicom_node.memory import loading

with loading():
    from builders.fake_engine import shape_engine


def main() -> int:
    """Serve the worker that started this."""
    with (
        mock.patch("dicom_node.job.load_model_pack"),
        mock.patch("dicom_node.job.build_engine", lambda *_: shape_engine()),
    ):
        return fork_server.main()


if __name__ == "__main__":
    sys.exit(main())
