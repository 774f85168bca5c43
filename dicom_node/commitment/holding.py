"""Whether the node keeps instances that it is asked for: what is on disk decides, not only the index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.commitment_ledger import CommitmentLedger
from storage.commitment_records import FailedReference, KeptCopy, Reference
from storage.disk import sha256_of

# Failure Reason (0008,1197), PS3.3 C.14.
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
CLASS_CONFLICT = 0x0119

_HASHED_BYTES = 1024 * 1024
"""Files up to this size are read and hashed; of larger ones the size is compared."""
_HASHED_BYTES_TOGETHER = 256 * 1024 * 1024
"""Of one question: one who asks for ten thousand images does not keep the disk from those that send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the node keeps of what it was asked for."""

    kept: tuple[Reference, ...]
    not_kept: tuple[FailedReference, ...]


class _Files:
    """Looks at files, and hashes them as long as it may."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._left_bytes = _HASHED_BYTES_TOGETHER

    def is_whole(self, copy: KeptCopy) -> bool:
        """Whether the file of a copy is what was stored."""
        path = self._data_dir / copy.relative_path
        try:
            if path.stat().st_size != copy.size_bytes:
                return False
            if copy.size_bytes > min(_HASHED_BYTES, self._left_bytes):
                return True
            self._left_bytes -= copy.size_bytes
            return sha256_of(path) == copy.sha256
        except OSError:
            return False


def holding_of(references: Sequence[Reference], ledger: CommitmentLedger, *, data_dir: Path) -> Holding:
    """Look at index and disk: kept is what is indexed with its hash and whole on disk."""
    copies = ledger.copies_of([one.sop_instance_uid for one in references])
    files = _Files(data_dir)
    kept, not_kept = [], []
    for one in references:
        reason = _failure_reason(one, copies.get(one.sop_instance_uid, ()), files)
        if reason is None:
            kept.append(one)
            continue
        failed = FailedReference(
            sop_class_uid=one.sop_class_uid, sop_instance_uid=one.sop_instance_uid, failure_reason=reason
        )
        not_kept.append(failed)
    return Holding(kept=tuple(kept), not_kept=tuple(not_kept))


def _failure_reason(reference: Reference, copies: Sequence[KeptCopy], files: _Files) -> int | None:
    """Why an instance is not kept; None if it is, in every version that came under its UID."""
    if not copies:
        return NO_SUCH_INSTANCE
    of_class = [copy for copy in copies if copy.sop_class_uid == reference.sop_class_uid]
    if not of_class:
        return CLASS_CONFLICT
    return None if all(files.is_whole(copy) for copy in of_class) else PROCESSING_FAILURE
