"""Commands in the process of the test, on a configuration file."""

from pathlib import Path

from typer.testing import CliRunner, Result

from dicom_node.cli.app import app
from dicom_node.cli.failures import exit_code_of


def run(file: Path, *arguments: str, exit_code: int = 0) -> Result:
    """One command, ended as expected; what is raised counts as `main` counts it."""
    done = CliRunner().invoke(app, ["--config", str(file), *arguments])
    raised = done.exception if isinstance(done.exception, Exception) else None
    code = exit_code_of(raised) if raised else done.exit_code
    assert code == exit_code, (done.output, done.exception)
    return done
