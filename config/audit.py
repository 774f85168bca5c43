"""The settings of the audit trail, `[audit]`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from config.names import host_problem
from config.table import Table
from config.tls import CertificateName, FileOrNone

# RFC 5425 4.1: the port of syslog over TLS.
_SYSLOG_TLS_PORT = 6514


class AuditSettings(Table):
    """Where the audit trail is kept and who gets a copy."""

    folder: FileOrNone = None
    """None: `audit` in the data folder."""
    site_id: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    maximum_file_bytes: Annotated[int, Field(ge=4096)] = 64 * 1024**2
    syslog_host: str = ""
    """Empty: no server."""
    syslog_port: Annotated[int, Field(ge=1, le=65535)] = _SYSLOG_TLS_PORT
    syslog_server_name: CertificateName = ""
    """Empty: `syslog_host`."""
    syslog_ca: FileOrNone = None
    """None: the authorities that this machine trusts."""
    syslog_certificate: FileOrNone = None
    syslog_key: FileOrNone = None
    """None: in the file of the certificate."""
    syslog_waiting_limit: Annotated[int, Field(ge=1)] = 100_000

    @model_validator(mode="after")
    def _check_host(self) -> Self:
        """ValueError for a server that has no name."""
        problem = host_problem(self.syslog_host) if self.syslog_host else None
        if problem:
            words = f"syslog_host {problem}"
            raise ValueError(words)
        return self
