"""A throw-away Orthanc with DICOMweb, as a site's PACS."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders.deadline import until
from builders.ports import free_port

AE_TITLE = "ORTHANC"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc."""

    dicom_port: int
    http_port: int

    def get(self, path: str, *, accept: str = "application/json") -> bytes:
        """The body of a GET on its HTTP interface."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def series(self, study_instance_uid: str) -> list[dict[str, Any]]:
        """The series of a study by QIDO-RS, each as DICOM JSON."""
        found: list[dict[str, Any]] = json.loads(self.get(f"/dicom-web/studies/{study_instance_uid}/series"))
        return found

    def series_of_modality(self, study_instance_uid: str, modality: str) -> list[str]:
        """Series Instance UIDs of one modality in a study."""
        return [
            entry["0020000E"]["Value"][0]
            for entry in self.series(study_instance_uid)
            if entry["00080060"]["Value"] == [modality]
        ]


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """An Orthanc on free ports that keeps everything below the folder; gone at the end."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin")
    if program is None or not _PLUGIN.exists():
        pytest.skip("Orthanc with DICOMweb not installed: apt install orthanc orthanc-dicomweb")
    orthanc = Orthanc(dicom_port=free_port(), http_port=free_port())
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(_configuration(orthanc, folder)))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log)
        try:
            until(lambda: _answers(orthanc), within_s=60, what="Orthanc answers on its HTTP port")
            yield orthanc
        finally:
            process.terminate()
            process.wait(timeout=30)


def _answers(orthanc: Orthanc) -> bool:
    try:
        return bool(orthanc.get("/system"))
    except (urllib.error.URLError, ConnectionError):
        return False


def _configuration(orthanc: Orthanc, folder: Path) -> dict[str, Any]:
    return {
        "Name": "site",
        "StorageDirectory": str(folder / "orthanc-db"),
        "IndexDirectory": str(folder / "orthanc-db"),
        "Plugins": [str(_PLUGIN)],
        "HttpPort": orthanc.http_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": AE_TITLE,
        "DicomPort": orthanc.dicom_port,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
