"""Model packs in the memory of the cluster, each put there once."""

from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

from dicom_node.cluster.library import RayModule
from dicom_node.cluster.packs import pack_sha256, read_pack

_KEPT = 2
"""The pack in use, and the one before: an attempt may still be on its way with it."""


class PackShelf:
    """Gives the reference of a pack by its hash: a new pack is another one from the next study on."""

    def __init__(self, ray: RayModule) -> None:
        """Empty."""
        self._ray = ray
        self._lock = Lock()
        self._references: OrderedDict[str, Any] = OrderedDict()

    def reference(self, folder: Path | None) -> tuple[str, Any]:
        """The hash of a pack, and Ray's reference of its bytes.

        Raises:
            ModelPackError: It cannot be read.
        """
        sha256 = pack_sha256(folder)
        with self._lock:
            if sha256 not in self._references:
                self._references[sha256] = self._ray.put(read_pack(folder))
            self._references.move_to_end(sha256)
            while len(self._references) > _KEPT:
                self._references.popitem(last=False)
            return sha256, self._references[sha256]
