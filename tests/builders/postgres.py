"""A PostgreSQL server of our own on a Unix socket, for as long as a test or a benchmark takes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")
"""Where Debian's packages have them, by version."""

SERVICE_USER = "postgres"
"""Of Debian's package; the server refuses to run as root."""


def why_no_postgres() -> str:
    """Why no server can be started here; empty where one can."""
    if _programs() is None:
        return "PostgreSQL is not installed: apt install postgresql"
    try:
        import psycopg  # noqa: F401, PLC0415
    except ImportError:
        return "the driver is not installed: pip install '.[postgres]'"
    return ""


@contextmanager
def running_postgres() -> Iterator[str]:
    """An empty server with its default settings, reached by no network; gives the SQLAlchemy URL of its database."""
    programs = _programs()
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="postgres") as name:
        folder = Path(name)
        if os.getuid() == 0:
            shutil.chown(folder, SERVICE_USER)
        data = folder / "data"
        _run(programs / "initdb", "--pgdata", data, "--username", "node", "--auth", "trust", "--encoding", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        start = ("--pgdata", data, "--log", folder / "log", "--options", options, "--wait", "start")
        _run(programs / "pg_ctl", *start)
        try:
            yield f"postgresql+psycopg://node@/postgres?host={folder}"
        finally:
            _run(programs / "pg_ctl", "--pgdata", data, "--mode", "fast", "--wait", "stop")


def _programs() -> Path | None:
    """Folder of the newest server's programs."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _run(program: Path, *arguments: str | Path) -> None:
    """Run one of its programs, never as root."""
    as_service = ["runuser", "-u", SERVICE_USER, "--"] if os.getuid() == 0 else []
    command = [*as_service, str(program), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
