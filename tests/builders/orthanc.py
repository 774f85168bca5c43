"""A throw-away Orthanc with DICOMweb, as a site's PACS."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from builders.certificates import Issued
from builders.deadline import until
from builders.ports import free_port

AE_TITLE = "ORTHANC"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    uid: str
    modality: str


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

    def post(self, path: str, body: object) -> Any:
        """What a POST of JSON on its HTTP interface answers."""
        return self._send("POST", path, json.dumps(body).encode())

    def take(self, dataset: Dataset) -> None:
        """Have it store an instance, without the network of DICOM."""
        stream = BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        assert self._send("POST", "/instances", stream.getvalue())["Status"] == "Success"

    def delete(self, path: str) -> Any:
        """What a DELETE on its HTTP interface answers."""
        return self._send("DELETE", path, None)

    def _send(self, method: str, path: str, body: bytes | None) -> Any:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method), timeout=30) as answer:
            return json.loads(answer.read())

    def modalities(self, study_instance_uid: str) -> set[str]:
        """Modalities of the series of a study, by QIDO-RS."""
        return {series.modality for series in self._series(study_instance_uid)}

    def instances_of_modality(self, study_instance_uid: str, modality: str) -> list[Dataset]:
        """Every instance of one modality in a study, by WADO-RS."""
        return [
            dataset
            for series in self._series(study_instance_uid)
            if series.modality == modality
            for dataset in self._retrieve(f"/dicom-web/studies/{study_instance_uid}/series/{series.uid}")
        ]

    def _series(self, study_instance_uid: str) -> list[_Series]:
        """The series of a study, by QIDO-RS (DICOM JSON, PS3.18 F)."""
        found: list[dict[str, Any]] = json.loads(self.get(f"/dicom-web/studies/{study_instance_uid}/series"))
        return [_Series(uid=_only_value(entry, "0020000E"), modality=_only_value(entry, "00080060")) for entry in found]

    def _retrieve(self, path: str) -> list[Dataset]:
        """The parts of a WADO-RS answer (PS3.18 8.6.1.2), each a DICOM file."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=30) as answer:
            boundary = answer.headers.get_boundary()
            body = b"\r\n" + answer.read()
        parts = body.split(f"\r\n--{boundary}".encode())[1:-1]
        return [dcmread(BytesIO(part.partition(b"\r\n\r\n")[2])) for part in parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNode:
    """A node that Orthanc knows: it may query and retrieve, and is a destination of C-MOVE."""

    ae_title: str
    port: int
    tls: bool = False
    """Whether that port is one with TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancTls:
    """What makes the DICOM port of an Orthanc one with mutual TLS."""

    shown: Issued
    """What it shows, as caller too."""
    trusted: Path
    """The authority of those that it believes."""


@contextmanager
def running_orthanc(folder: Path, *, node: KnownNode | None = None, tls: OrthancTls | None = None) -> Iterator[Orthanc]:
    """An Orthanc on free ports that keeps everything below the folder; gone at the end."""
    program = shutil.which("Orthanc", path="/usr/sbin:/usr/bin")
    if program is None or not _PLUGIN.exists():
        pytest.skip("Orthanc with DICOMweb not installed: apt install orthanc orthanc-dicomweb")
    orthanc = Orthanc(dicom_port=free_port(), http_port=free_port())
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(_configuration(orthanc, folder) | _known(node) | _tls(tls)))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(configuration)], stdout=log, stderr=log)
        try:
            until(lambda: _answers(orthanc), within_s=180, what="Orthanc answers on its HTTP port")
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
        "DicomAlwaysAllowFind": True,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }


def _known(node: KnownNode | None) -> dict[str, Any]:
    """What makes a node known; AET, host and port are the destination of a C-MOVE."""
    if node is None:
        return {}
    modality = {"AET": node.ae_title, "Host": "127.0.0.1", "Port": node.port, "AllowGet": True, "UseDicomTls": node.tls}
    return {"DicomModalities": {"node": modality}, "DicomCheckModalityHost": False}


def _tls(tls: OrthancTls | None) -> dict[str, Any]:
    """Orthanc book, DICOM TLS encryption: who calls without a certificate that it trusts is refused."""
    if tls is None:
        return {}
    return {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(tls.shown.certificate),
        "DicomTlsPrivateKey": str(tls.shown.key),
        "DicomTlsTrustedCertificates": str(tls.trusted),
        "DicomTlsRemoteCertificateRequired": True,
    }


def _only_value(entry: dict[str, Any], tag: str) -> str:
    (value,) = entry[tag]["Value"]
    return str(value)
