"""The settings of the pages, `[web]`."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from config.names import host_problem, is_ip_address
from config.tls import FileOrNone


def _host(host: str) -> str:
    """The host; ValueError for what is none."""
    problem = host_problem(host)
    if problem is not None:
        raise ValueError(problem)
    return host


_Host = Annotated[str, AfterValidator(_host)]
_Duration = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    return ipaddress.ip_address(host).is_loopback if is_ip_address(host) else host.lower() == "localhost"


class WebSettings(BaseModel):
    """The pages for people."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    enabled: bool = False
    host: _Host = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8085
    """0 takes a free port: for tests and demonstrations."""
    names: Annotated[tuple[_Host, ...], Field(strict=False)] = ()
    login: bool = False
    certificate: FileOrNone = None
    key: FileOrNone = None
    """None: in the file of the certificate."""
    session_idle_s: _Duration = 1800.0
    session_lifetime_s: _Duration = 43200.0

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the pages."""
        return is_loopback(self.host)

    @field_validator("login")
    @classmethod
    def _check_login(cls, login: bool, info: ValidationInfo) -> bool:
        """ValueError for pages that others than this machine reach without a password."""
        if not login and not is_loopback(info.data.get("host", "localhost")):
            problem = "must be true where host is not an address of this machine alone, such as 127.0.0.1"
            raise ValueError(problem)
        return login

    @field_validator("certificate")
    @classmethod
    def _check_certificate(cls, certificate: object, info: ValidationInfo) -> object:
        """ValueError for passwords that would cross the network in clear."""
        if certificate is None and not is_loopback(info.data.get("host", "localhost")):
            problem = "must be set where host is not an address of this machine alone: passwords need TLS"
            raise ValueError(problem)
        return certificate
