"""The settings of the TLS port of the listener."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from config.names import path_problem

# SHA-256 has 32 bytes; openssl prints them with colons between, other tools without.
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def _path_or_none(value: object) -> object:
    """None for an empty string: TOML has no null."""
    return None if value == "" else value


def _absolute(path: Path) -> Path:
    problem = path_problem(path)
    if problem is not None:
        raise ValueError(problem)
    return path


def _fingerprint(value: str) -> str:
    """64 lower-case hexadecimal digits, however they were written."""
    digits = value.lower().removeprefix("sha256:").removeprefix("sha256 fingerprint=").replace(":", "").strip()
    if not _FINGERPRINT.fullmatch(digits):
        problem = "must be a SHA-256 fingerprint: 64 hexadecimal digits, colons allowed"
        raise ValueError(problem)
    return digits


def _list_of_one(value: object) -> object:
    """A single value stands for a list of one."""
    return (value,) if isinstance(value, str) else value


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
Fingerprints = Annotated[tuple[Fingerprint, ...], Field(strict=False), BeforeValidator(_list_of_one)]
FileOrNone = Annotated[
    Annotated[Path, Field(strict=False), AfterValidator(_absolute)] | None, BeforeValidator(_path_or_none)
]
CertificateName = Annotated[str, Field(max_length=253, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ListenTlsSettings(BaseModel):
    """The TLS port, `[listen.tls]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    enabled: bool = False
    port: Annotated[int, Field(ge=0, le=65535)] = 2762
    certificate: FileOrNone = None
    key: FileOrNone = None
    """None: in the file of the certificate."""
    client_ca: FileOrNone = None
    client_certificates: Literal["required", "optional", "none"] = "required"

    @model_validator(mode="after")
    def _check(self) -> Self:
        """ValueError for a TLS port that could not work."""
        if self.enabled and self.certificate is None:
            problem = "certificate must be set where enabled is true: without one there is no TLS"
            raise ValueError(problem)
        if self.enabled and self.client_certificates != "none" and self.client_ca is None:
            problem = 'client_ca must be set, or client_certificates = "none": nobody could be verified'
            raise ValueError(problem)
        return self
