"""What a failed command says, and the code it ends with."""

from rich.markup import escape

from config.errors import ConfigError
from dicom_node.batch.errors import BatchOrderError
from dicom_node.cli.output import error_console
from dicom_node.configuring.errors import UnknownBlockError
from dicom_node.errors import NodeError
from dicom_node.log import failure_in_short
from dicom_node.peer_names import UnknownPeerError
from pipeline.errors import PipelineError
from storage.errors import DatabaseAddressError, StorageError

OPERATION_FAILED = 1
WRONG_USAGE = 2
"""The code that the argument parser uses too."""

_WRONGLY_GIVEN = (ConfigError, BatchOrderError, DatabaseAddressError, UnknownBlockError, UnknownPeerError)
"""What names something that is not there, or cannot be: the same command can never succeed."""

_EXPECTED = (NodeError, StorageError, PipelineError, ConfigError, OSError)


def exit_code_of(failure: Exception) -> int:
    """The exit code that stands for a failure."""
    return WRONG_USAGE if isinstance(failure, _WRONGLY_GIVEN) else OPERATION_FAILED


def tell(failure: Exception) -> None:
    """Say on stderr what failed and what to do.

    A defect of the program shows where it is, never the text of its exception, which may quote a patient's data.
    """
    stderr = error_console()
    for line in failure_in_lines(failure):
        stderr.print(f"[red]error:[/] {escape(line)}", soft_wrap=True)


def failure_in_lines(failure: BaseException) -> list[str]:
    """What failed and what to do; of a defect only where it is."""
    if not isinstance(failure, _EXPECTED):
        where = failure_in_short(type(failure), failure.__traceback__)
        return [f"a defect of dicom-node, please report this line: {where}"]
    return str(failure).splitlines() or [type(failure).__doc__ or type(failure).__name__]
