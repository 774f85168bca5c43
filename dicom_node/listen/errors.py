"""Why the listener does not listen, or refuses an object.

NodeError
├── ListenError
├── NotAskedError                a connection became no association
└── InstanceRefusedError         carries the status of the C-STORE response (PS3.4 B.2.3, PS3.7 C)
    ├── OutOfResourcesError      0xA700, retryable
    │   ├── FreeFloorError
    │   └── TooLargeError        not retryable
    ├── MismatchError            0xA900
    ├── NotUnderstoodError       0xC000
    │   ├── DamagedDataSetError
    │   ├── UnreasonableDataSetError
    │   ├── NoDataSetError
    │   ├── UidMissingError
    │   ├── UidInvalidError
    │   └── PatientIdTooLongError
    └── ProcessingFailedError    0x0110
"""

from dicom_node.errors import NodeError


class ListenError(NodeError):
    """The listener cannot use its address; correct [listen].host, or choose a [listen].port that is free and allowed."""

    def __init__(self, address: str, detail: str) -> None:
        """Keep the address and what the system said about it."""
        self.address = address
        super().__init__(f"{type(self).__doc__} [{address}: {detail}]")


class NotAskedError(NodeError):
    """The connection became no association."""


class InstanceRefusedError(NodeError):
    """The object was not stored; its sender was told so."""

    status = 0x0110


class OutOfResourcesError(InstanceRefusedError):
    """The node cannot store objects now; see its log, the sender may try again later."""

    retryable = True
    status = 0xA700


class FreeFloorError(OutOfResourcesError):
    """Free space in the data folder is below [storage].free_floor_bytes."""


class TooLargeError(OutOfResourcesError):
    """The object is larger than [listen].maximum_object_bytes."""

    retryable = False


class MismatchError(InstanceRefusedError):
    """SOP Class or Instance UID of the data set are not those of the request."""

    status = 0xA900


class NotUnderstoodError(InstanceRefusedError):
    """The data set cannot be read as the instance of a study."""

    status = 0xC000


class DamagedDataSetError(NotUnderstoodError):
    """The data set does not follow PS3.5."""


class UnreasonableDataSetError(NotUnderstoodError):
    """The data set nests sequences or repeats elements beyond all reason."""


class NoDataSetError(NotUnderstoodError):
    """The request came without a data set."""


class UidMissingError(NotUnderstoodError):
    """A UID without which an instance has no place is missing."""

    def __init__(self, name: str) -> None:
        """Keep the name of the attribute."""
        self.name = name
        super().__init__(f"{name} is missing")


class UidInvalidError(NotUnderstoodError):
    """A UID breaks the grammar of PS3.5 9.1."""

    def __init__(self, name: str) -> None:
        """Keep the name of the attribute, not the value."""
        self.name = name
        super().__init__(f"{name} is not a valid UID")


class PatientIdTooLongError(NotUnderstoodError):
    """Patient ID or issuer is longer than 64 characters: correct it."""


class ProcessingFailedError(InstanceRefusedError):
    """The node failed over this object; see its log."""
