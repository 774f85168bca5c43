"""The listener: receives instances by C-STORE, nothing else."""

from dicom_node.listen.server import run_listener

__all__ = ["run_listener"]
