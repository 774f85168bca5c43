"""Why the node stopped doing something.

NodeError
├── ListenError                  the listener cannot start (dicom_node.listen.errors)
├── InstanceRefusedError         a C-STORE ends with a failure status (dicom_node.listen.errors)
├── PeerUnreachableError         a peer did not accept an association (dicom_node.peers)
├── NoStudyFoundError            a folder holds no DICOM (dicom_node.folders)
└── PacsError                    the small PACS cannot start (dicom_node.demo.pacs)
"""


class NodeError(Exception):
    """The node could not do what was asked; see its log."""

    retryable = False
    """Whether the same may succeed later without anybody changing anything: all that a retry policy reads."""

    def __init__(self, reason: str | None = None) -> None:
        """Keep the reason, a plain sentence without patient data."""
        self.reason = reason or (type(self).__doc__ or "")
        super().__init__(self.reason)
