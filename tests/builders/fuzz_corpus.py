"""Cases of fuzz targets that reached code which others did not, kept in the repository: all grew from cases made by code."""

from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"
_MOST_BYTES = 16 * 1024


def kept_cases(target: str) -> list[bytes]:
    """What was kept for a target; none at first."""
    path = _path(target)
    return [b64decode(line, validate=True) for line in path.read_text().splitlines()] if path.exists() else []


def keep_cases(target: str, cases: Iterable[bytes]) -> int:
    """Keep these in the place of the earlier ones, short ones first, at most 16 KiB in all; how many."""
    kept: list[bytes] = []
    for case in sorted(set(cases), key=lambda one: (len(one), one)):
        if sum(map(len, kept)) + len(case) <= _MOST_BYTES:
            kept.append(case)
    path = _path(target)
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(b64encode(case).decode() + "\n" for case in kept))
    return len(kept)


def _path(target: str) -> Path:
    return _FOLDER / f"{target}.txt"
