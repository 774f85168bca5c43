"""Why a certificate cannot be used.

NodeError
└── CertificateError
"""

from dicom_node.errors import NodeError


class CertificateError(NodeError):
    """A certificate or its key cannot be used; the reason says which file and what to do."""
