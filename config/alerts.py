"""The settings of alerts, `[alerts]`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.table import Table
from config.tls import FileOrNone

_Line = Annotated[str, Field(max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$")]
_Hour = Annotated[int, Field(ge=0, le=24)]
_Limit = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class AlertsSettings(Table):
    """What is told to whom."""

    mail_host: _Line = ""
    """Empty: no mail."""
    mail_port: Annotated[int, Field(ge=1, le=65535)] = 587
    mail_security: Literal["starttls", "tls"] = "starttls"
    mail_user: _Line = ""
    mail_password_file: FileOrNone = None
    mail_ca: FileOrNone = None
    """None: the authorities that this machine trusts."""
    mail_from: _Line = ""
    mail_to: Annotated[tuple[_Line, ...], Field(strict=False)] = ()
    webhook_url: Annotated[str, Field(pattern=r"^$|^https?://\S+$")] = Field(default="", repr=False)
    webhook_key_file: FileOrNone = None
    webhook_ca: FileOrNone = None
    nothing_received_hours: _Limit = 4.0
    working_from_hour: _Hour = 8
    working_to_hour: _Hour = 18
    waiting_minutes: _Limit = 60.0
    destination_down_minutes: _Limit = 15.0
    certificate_days: _Limit = 30.0
    gpu_expected: bool = False
    study_failed: bool = True

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        """ValueError for mail that nobody would get."""
        if self.mail_host and not (self.mail_from and self.mail_to):
            problem = "mail_from and mail_to must be set where mail_host is"
            raise ValueError(problem)
        if self.mail_user and self.mail_password_file is None:
            problem = "mail_password_file must be set where mail_user is"
            raise ValueError(problem)
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """By which ways alerts are told."""
        return tuple(name for name, address in (("mail", self.mail_host), ("webhook", self.webhook_url)) if address)
