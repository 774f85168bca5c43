"""Why a destination could not be asked whether it keeps our results.

NodeError
└── CommitmentRefusedError       retryable
"""

from dicom_node.errors import NodeError


class CommitmentRefusedError(NodeError):
    """The peer does not take the question; let it offer storage commitment, or set storage_commitment = false."""

    retryable = True
