"""Why the storage stopped.

StorageError
├── IllegalTransitionError       the life of a study has no such step
├── UnknownStudyError
├── UnknownBatchError
├── IllegalBatchStepError        the batch stands elsewhere
├── NothingToSendError
├── IdentityError
│   ├── UnknownPatientError
│   ├── SamePatientError
│   ├── AlreadyMergedError
│   ├── NotMergedError
│   ├── NotAssignedError
│   ├── NotHeldError
│   └── UnknownChoiceError
├── DataFolderInUseError
├── IndexStateError
│   ├── IndexBusyError           retryable
│   ├── IndexUnreachableError    retryable
│   ├── DatabaseAddressError
│   ├── DriverMissingError
│   ├── NoIndexYetError
│   ├── IndexDamagedError
│   ├── IndexLostError
│   │   ├── IndexEmptyError
│   │   └── IndexHalfFilledError
│   ├── NoIndexFileError
│   ├── IndexTooNewError
│   ├── IndexNotEmptyError
│   ├── MovedIndexDiffersError
│   ├── IndexFailedError
│   ├── NoWalError
│   ├── NetworkFolderError
│   ├── SharedFolderError
│   └── SqliteTooOldError
└── DiskError
    ├── DiskFullError            retryable
    ├── DiskReadOnlyError
    └── DiskFailedError
"""


class StorageError(Exception):
    """The storage could not do what was asked; see the log."""

    retryable = False

    def __init__(self, detail: str = "") -> None:
        """Keep the detail, which names no patient; the class says what to do."""
        self.detail = detail
        message = type(self).__doc__ or ""
        super().__init__(f"{message} [{detail}]" if detail else message)


class IllegalTransitionError(StorageError):
    """The study cannot take this step from where it stands; `dicom-node study show UID` says where that is."""

    def __init__(self, state: str, event: str) -> None:
        """Keep the state and the event that has no place in it."""
        self.state = state
        self.event = event
        super().__init__(f"{event} in {state}")


class UnknownStudyError(StorageError):
    """The index has no such study; `dicom-node study list` shows those that it has."""

    def __init__(self, study_instance_uid: str) -> None:
        """Keep the UID beside the message, which stays free of it."""
        self.study_instance_uid = study_instance_uid
        super().__init__()


class UnknownBatchError(StorageError):
    """There is no batch with this number; `dicom-node batch status` shows those that there are."""

    def __init__(self, number: int) -> None:
        """Keep the number beside the message."""
        self.number = number
        super().__init__()


class IllegalBatchStepError(StorageError):
    """The batch cannot do this where it stands, nothing was changed; `dicom-node batch status` says where that is."""

    def __init__(self, number: int, words: str) -> None:
        """Keep the number; the words say where the batch stands, and where it would have to."""
        self.number = number
        super().__init__(f"batch {number} {words}")


class NothingToSendError(StorageError):
    """Nothing to send: there is no result, or nobody gets any of it; see `receives_results` and the rules of the site."""


class IdentityError(StorageError):
    """What was said about patients cannot be kept."""


class UnknownPatientError(IdentityError):
    """The index has no patient with this ID and issuer (ID@ISSUER); `dicom-node patient show ID` lists the issuers."""


class SamePatientError(IdentityError):
    """The two are one patient already; `dicom-node patient assign STUDY_UID ID` overrules a contradiction of a study."""


class AlreadyMergedError(IdentityError):
    """This merge stands already, and nothing contradicts that it does not waive; `dicom-node patient show ID` shows it."""


class NotMergedError(IdentityError):
    """These two were not merged with each other; `dicom-node patient show ID` shows which merges there are."""


class NotAssignedError(IdentityError):
    """The study was not assigned to a patient; it belongs to the one that its images name."""


class NotHeldError(IdentityError):
    """The study does not name two patients; there is nothing to release."""


class UnknownChoiceError(IdentityError):
    """The study has no patient of this number; `dicom-node study show UID` counts them."""

    def __init__(self, patients: int) -> None:
        """Keep how many patients the study has."""
        self.patients = patients
        super().__init__(f"1 to {patients}")


class DataFolderInUseError(StorageError):
    """Another process already works on this data folder; stop it, or give this one a folder of its own."""

    def __init__(self, role: str, holder: str) -> None:
        """Keep the role that is taken and the process that has it."""
        self.role = role
        self.holder = holder
        super().__init__(f"{role} runs as process {holder}")


class IndexStateError(StorageError):
    """The index cannot be used; see the log."""


class IndexBusyError(IndexStateError):
    """Another process kept the index locked for longer than 30 seconds; it is tried again, and `lslocks` names that process."""

    retryable = True


class IndexUnreachableError(IndexStateError):
    """The database server does not answer, or refuses the connection; check it and database_url, the node goes on by itself."""

    retryable = True


class DatabaseAddressError(IndexStateError):
    """The address of the database must be postgresql+psycopg://user@host/name, or sqlite:////path/index.sqlite."""


class DriverMissingError(IndexStateError):
    """The driver of PostgreSQL cannot be loaded: install the extra with `pip install '.[postgres]'`."""


class NoIndexYetError(IndexStateError):
    """The database has no index of this version; start the node once, or check database_url."""


class IndexDamagedError(IndexStateError):
    """The index is damaged, the received files are untouched; stop the node, restore it or `dicom-node storage reindex`."""


class IndexLostError(IndexStateError):
    """Files are here and the index is gone; restore it from a backup, or make it anew: `dicom-node storage reindex`."""


class IndexEmptyError(IndexLostError):
    """Files are here and the database knows of none; check database_url, restore the database, or `storage reindex`."""


class IndexHalfFilledError(IndexLostError):
    """A `dicom-node storage reindex` did not come to its end; give it again: it goes on where it was, then start the node."""


class NoIndexFileError(IndexStateError):
    """The index is on a database server and not made anew; restore it there, or `dicom-node storage reindex` alone."""


class IndexTooNewError(IndexStateError):
    """The index was written by a newer dicom-node; install that version again, or restore the backup made before it."""


class IndexNotEmptyError(IndexStateError):
    """The database to move to has rows already; name an empty one, nothing was changed."""


class MovedIndexDiffersError(IndexStateError):
    """What was moved reads otherwise than before; nothing of it was kept, the node goes on with the old index."""


class IndexFailedError(IndexStateError):
    """The database refused a statement; see the log, and check database_url and the rights of the service user."""


class NoWalError(IndexStateError):
    """The file system of the index has no shared memory, as over a network; put data_dir on a local disk."""


class NetworkFolderError(IndexStateError):
    """The index would be damaged on a network file system; put data_dir on a local disk, or the index on PostgreSQL."""


class SharedFolderError(IndexStateError):
    """The data folder is not the shared one of this index, or may not be; see docs/listeners.md."""


class SqliteTooOldError(IndexStateError):
    """SQLite before 3.51.3 can damage an index that two processes write; install the wheel of pysqlite3 0.6.1 or later."""


class DiskError(StorageError):
    """The data folder could not be written; see the log."""


class DiskFullError(DiskError):
    """The disk of the data folder is full; free space or enlarge it, the node goes on by itself."""

    retryable = True


class DiskReadOnlyError(DiskError):
    """The data folder cannot be written; check its owner, its mode and whether the disk was remounted read-only."""


class DiskFailedError(DiskError):
    """The disk of the data folder reports input or output errors; check the disk before anything else."""
