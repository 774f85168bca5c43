"""The pages in a process of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from builders.deadline import until
from builders.forked import start_forked


@contextmanager
def web_process(config: Path, port: int) -> Iterator[str]:
    """`dicom-node web` with this configuration, once it answers; its address."""
    log_path = config.parent / "web.log"
    with log_path.open("wb") as log:
        process = start_forked("--config", str(config), "web", outputs=(log.fileno(), log.fileno()))
    try:
        until(lambda: _answers(port), within_s=120, what=f"the pages answer; see {log_path}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


def _answers(port: int) -> bool:
    try:
        return bool(urlopen(f"http://127.0.0.1:{port}/login", timeout=5).status == 200)
    except OSError:
        return False
