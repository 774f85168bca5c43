"""A trail that changes its file while somebody reads it."""

from pathlib import Path

import pytest

from dicom_node.audit import verifying
from dicom_node.audit.chain import Chain, read_head, trail_files
from dicom_node.audit.reading import BEGINNING, lines_behind


def put_aside(chain: Chain) -> None:
    """Append until the current file was put aside, and a new one begun."""
    count = len(trail_files(chain.folder))
    while len(trail_files(chain.folder)) == count:
        chain.append("<m/>")


def grown(folder: Path, files: int) -> Chain:
    """A trail of so many files."""
    chain = Chain(folder, maximum_file_bytes=1000)
    chain.append("<m/>")
    for _ in range(files - 1):
        put_aside(chain)
    return chain


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("times", [1, 2])
def test_no_line_is_left_out_where_files_are_put_aside_meanwhile(tmp_path: Path, files: int, times: int) -> None:
    """Each line that was there is read once, in order."""
    chain = grown(tmp_path, files)
    before = read_head(tmp_path)
    assert before is not None
    reading = lines_behind(tmp_path, BEGINNING)
    numbers = [next(reading).line.number]
    for _ in range(times):
        put_aside(chain)
    numbers += [read.line.number for read in reading]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= before.number


@pytest.mark.parametrize("files", [1, 3])
def test_a_trail_whose_files_are_put_aside_meanwhile_is_not_called_changed(
    tmp_path: Path, files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is appended meanwhile is no finding, in whichever file it is."""
    chain = grown(tmp_path, files)
    look_at = verifying._Walk.look_at
    pending = [True]

    def appended_meanwhile(walk: verifying._Walk, file: str, row: int, raw: bytes) -> None:
        if pending:
            pending.pop()
            put_aside(chain)
        look_at(walk, file, row, raw)

    monkeypatch.setattr(verifying._Walk, "look_at", appended_meanwhile)
    report = verifying.verify(tmp_path)
    assert report.findings == ()
    assert report.files == files


def test_a_file_that_is_put_aside_before_the_others_are_listed_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has two names for who looks at this moment."""
    chain = grown(tmp_path, 2)
    glob = Path.glob
    pending = [True]

    def put_aside_before(folder: Path, pattern: str):  # type: ignore[no-untyped-def]  # of pathlib
        if pending:
            pending.pop()
            put_aside(chain)
        return glob(folder, pattern)

    monkeypatch.setattr(Path, "glob", put_aside_before)
    numbers = [read.line.number for read in lines_behind(tmp_path, BEGINNING)]
    assert numbers == list(range(1, len(numbers) + 1))
