"""Why the cluster did not take part.

NodeError
└── ClusterError
    ├── MissingRayError          the extra is not installed
    ├── UnreachableClusterError  the head of the cluster does not answer
    └── ForeignBytesError        what came back is not what the actor wrote
"""

from dicom_node.errors import NodeError


class ClusterError(NodeError):
    """The Ray cluster cannot be used; see docs/ray.md."""


class MissingRayError(ClusterError):
    """Ray is not installed here: install the extra with `pip install '.[ray]'` in the clone, or set `[pipeline].engine` to "local"."""


class UnreachableClusterError(ClusterError):
    """The Ray cluster does not answer at `[ray].address`; start it, and make this machine a node of it with `ray start`."""

    retryable = True


class ForeignBytesError(ClusterError):
    """A result did not come back from the cluster as it was written; the study is tried again."""

    retryable = True
