"""Why a batch was not begun, or its table not written.

NodeError
└── BatchError
    ├── BatchListError           a list of studies cannot be read
    ├── BatchPlanError           what was asked for makes no run
    │   └── BatchOrderError      it was not said as it is to be said
    ├── TableNotWrittenError     the file cannot be written
└── MissingTableExtraError   Parquet needs a package
"""

from dicom_node.errors import NodeError


class BatchError(NodeError):
    """The batch was not begun, or its table not written."""


class BatchListError(BatchError):
    """The list of studies cannot be read: one Study Instance UID or accession number a line."""


class BatchPlanError(BatchError):
    """What was asked for makes no batch; `dicom-node batch start --help` says what it takes."""


class BatchOrderError(BatchPlanError):
    """The batch is not ordered as it is to be; `dicom-node batch start --help` says which keys there are."""


class TableNotWrittenError(BatchError):
    """The table cannot be written; name a file in a folder that is there and that you may write."""


class MissingTableExtraError(BatchError):
    """A Parquet table needs the extra `table`: `pip install '.[table]'` in the clone; csv and jsonl need nothing."""
