"""Why a PACS did not give what it was asked for.

NodeError
└── RetrieveError
    ├── ArchiveSilentError       retryable
    ├── ArchiveFailedError       retryable
    │   └── TooManyAnswersError
    └── ArchiveRefusesError
"""

from dicom_node.errors import NodeError


class RetrieveError(NodeError):
    """The PACS did not give what it was asked for."""


class ArchiveSilentError(RetrieveError):
    """The PACS did not answer in time; a slow one may need a longer limit in [priors], which retrieval goes by."""

    retryable = True


class ArchiveFailedError(RetrieveError):
    """The PACS answered that it failed, or ended the association."""

    retryable = True


class TooManyAnswersError(ArchiveFailedError):
    """The PACS lists more than is asked of it at a time, or gave up itself; ask for fewer days at a time."""


class ArchiveRefusesError(RetrieveError):
    """The PACS does not do what it was asked for; see its configuration for this node."""
