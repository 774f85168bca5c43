"""What a failed command says, and the code it ends with."""

import traceback

from rich.markup import escape

from config.errors import ConfigError
from dicom_node.cli.output import error_console
from dicom_node.errors import NodeError
from pipeline.errors import PipelineError
from storage.errors import StorageError

OPERATION_FAILED = 1
WRONG_USAGE = 2
"""The code that the argument parser uses too."""

_EXPECTED = (NodeError, StorageError, PipelineError, ConfigError, OSError)


def exit_code_of(failure: Exception) -> int:
    """The exit code that stands for a failure."""
    return WRONG_USAGE if isinstance(failure, ConfigError) else OPERATION_FAILED


def tell(failure: Exception) -> None:
    """Say on stderr what failed and what to do; only a defect of the program shows a traceback."""
    stderr = error_console()
    if not isinstance(failure, _EXPECTED):
        stderr.print("".join(traceback.format_exception(failure)), markup=False)
        stderr.print("[red]error:[/] this is a defect of dicom-node; please report the lines above", soft_wrap=True)
        return
    for line in str(failure).splitlines() or [type(failure).__doc__ or type(failure).__name__]:
        stderr.print(f"[red]error:[/] {escape(line)}", soft_wrap=True)
