"""A PostgreSQL server of our own on a Unix socket, for as long as a test or a benchmark takes."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A server, reached by no network."""

    folder: Path
    programs: Path
    options: str

    @property
    def url(self) -> str:
        """SQLAlchemy URL of its first database, which is empty."""
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """SQLAlchemy URL of one of its databases."""
        return f"postgresql+psycopg://node@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        self._control("--log", self.folder / "log", "--options", self.options, "--wait", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` as an administrator does, `immediate` as a crash does."""
        self._control("--mode", mode, "--wait", "stop")

    def _control(self, *arguments: str | Path) -> None:
        _run(self.programs / "pg_ctl", "--pgdata", self.folder / "data", *arguments)


@contextmanager
def running_server(*settings: str, below: Path | None = None) -> Iterator[PostgresServer]:
    """A server with its default settings and these; its data below a folder, the system's for temporary files otherwise."""
    programs = _programs()
    assert programs is not None
    with tempfile.TemporaryDirectory(prefix="postgres", dir=below) as name:
        folder = Path(name)
        # Also for those whose root is nobody here, as in a namespace of a user.
        folder.chmod(0o711)
        if os.getuid() == 0:
            shutil.chown(folder, SERVICE_USER)
        login = ("--username", "node", "--auth", "trust", "--encoding", "UTF8")
        _run(programs / "initdb", "--pgdata", folder / "data", *login, "--no-sync")
        given = ("listen_addresses=''", f"unix_socket_directories='{folder}'", *settings)
        options = " ".join(f"-c {setting}" for setting in given)
        server = PostgresServer(folder=folder, programs=programs, options=options)
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):
                server.stop("immediate")


@contextmanager
def running_postgres() -> Iterator[str]:
    """An empty server with its default settings; gives the SQLAlchemy URL of its database."""
    with running_server() as server:
        yield server.url


def _programs() -> Path | None:
    """Folder of the newest server's programs."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def _run(program: Path, *arguments: str | Path) -> None:
    """Run one of its programs, never as root."""
    as_service = ["runuser", "-u", SERVICE_USER, "--"] if os.getuid() == 0 else []
    command = [*as_service, str(program), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
