"""A listener in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from builders.deadline import until
from builders.engines import storage_table
from builders.listener import AE_TITLE, SENDER
from builders.raw_peer import A_ASSOCIATE_AC, RawPeer

CONFIG = """
[node]
ae_title = "{title}"
data_dir = "{data_dir}"
[listen]
port = {port}
{listen}
{storage}
[[peers]]
name = "ct"
ae_title = "{sender}"
host = "127.0.0.1"
port = 104
"""
PROGRAM = (sys.executable, "-m", "dicom_node")


def log_of(folder: Path) -> Path:
    """What the listener says."""
    return folder / "listener.log"


@contextmanager
def listener_process(
    folder: Path, port: int, *, listen: str = "", program: Sequence[str] = PROGRAM
) -> Iterator[subprocess.Popen[bytes]]:
    """A listener in a process of its own, killed at the end; `listen` has lines for its table of that name."""
    config = folder / "node.toml"
    data_dir = folder / "data"
    config.write_text(
        CONFIG.format(
            title=AE_TITLE,
            data_dir=data_dir,
            port=port,
            sender=SENDER,
            listen=listen,
            storage=storage_table(data_dir),
        )
    )
    with (
        log_of(folder).open("ab") as log,
        subprocess.Popen([*program, "--config", str(config), "listen"], stderr=log) as process,
    ):
        try:
            until(lambda: _answers(port) or process.poll() is not None, within_s=60, what="the listener answers")
            assert process.poll() is None, log_of(folder).read_text()
            yield process
        finally:
            process.kill()


def _answers(port: int) -> bool:
    try:
        with RawPeer(port) as peer:
            return peer.associate()[0] == A_ASSOCIATE_AC
    except ConnectionRefusedError:
        return False
