"""Brings alerts to people: SMTP over TLS with a login, a webhook with a signature."""

import hashlib
import hmac
import json
import smtplib
import ssl
from email.message import EmailMessage
from http.client import HTTPException
from pathlib import Path
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener
from uuid import UUID, uuid5

from config.alerts import AlertsSettings
from storage.alerts import AlertMessage

SIGNATURE = "X-Dicom-Node-Signature"
"""Header with `sha256=` and the HMAC-SHA256 of the body under the secret."""
NOT_TAKEN = (OSError, HTTPException, UnicodeError)
"""What a sender raises where a message is not taken; SMTPException is an OSError."""
_TIMEOUT_S = 15.0
_MESSAGES = UUID("0b6e0f0c-6a3f-4f0e-9a53-7f5f0d2c9d41")
"""Name space of the ids of messages (RFC 9562 5.5), drawn once."""


class SecretNotReadableError(OSError):
    """A file that [alerts] names is not UTF-8: write the password or key into it again."""


class LoginNotAsciiError(OSError):
    """The mail user or the mail password is not ASCII, which SMTP's login needs: choose others at the mail server."""

    def __init__(self, key: str) -> None:
        """Name the setting, never its value."""
        what = "mail password" if key == "mail_password_file" else "mail user"
        super().__init__(f"the {what} must be ASCII: choose another at the mail server, and set [alerts].{key} to it")


class RedirectedError(OSError):
    """The webhook answers with a redirect, which is not followed: set [alerts].webhook_url to what takes alerts itself."""


def send_mail(alerts: AlertsSettings, node: str, message: AlertMessage) -> None:
    """Hand a message to the mail server; one of `NOT_TAKEN` where it does not take it."""
    context = ssl.create_default_context(cafile=alerts.mail_ca)
    mail = EmailMessage()
    mail["Subject"] = f"[dicom-node {node}] {'over: ' if message.is_over else ''}{message.subject}"
    mail["From"], mail["To"] = alerts.mail_from, ", ".join(alerts.mail_to)
    mail.set_content(f"{'Over: ' if message.is_over else ''}{message.words}\n\n{message.at:%Y-%m-%d %H:%M:%S} UTC\n")
    if alerts.mail_security == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(alerts.mail_host, alerts.mail_port, timeout=_TIMEOUT_S, context=context)
    else:
        server = smtplib.SMTP(alerts.mail_host, alerts.mail_port, timeout=_TIMEOUT_S)
    with server:
        if alerts.mail_security == "starttls":
            server.starttls(context=context)
        if alerts.mail_user:
            password = _secret(alerts.mail_password_file)
            server.login(_ascii(alerts.mail_user, "mail_user"), _ascii(password, "mail_password_file"))
        server.send_message(mail)


def send_webhook(alerts: AlertsSettings, node: str, message: AlertMessage) -> None:
    """Post a message as JSON; one of `NOT_TAKEN` where this very address does not answer with success."""
    fields = {"node": node, "subject": message.subject, "words": message.words, "at": message.at.isoformat()}
    state = "over" if message.is_over else "begun"
    body = json.dumps({"id": _id_of(node, message)} | fields | {"state": state}).encode()
    headers = {"Content-Type": "application/json"}
    if alerts.webhook_key_file:
        digest = hmac.new(_secret(alerts.webhook_key_file).encode(), body, hashlib.sha256).hexdigest()
        headers[SIGNATURE] = f"sha256={digest}"
    request = Request(alerts.webhook_url, data=body, headers=headers, method="POST")
    context = ssl.create_default_context(cafile=alerts.webhook_ca)
    with build_opener(_NoRedirects, HTTPSHandler(context=context)).open(request, timeout=_TIMEOUT_S) as response:
        response.read()


def _id_of(node: str, message: AlertMessage) -> str:
    """The same each time that a message is brought, and of no other: a number in the index is given anew."""
    return str(uuid5(_MESSAGES, json.dumps([node, message.subject, message.is_over, message.at.isoformat()])))


class _NoRedirects(HTTPRedirectHandler):
    """Makes a redirect a failure: urllib would ask the other place by GET, without the message."""

    def redirect_request(self, *_: object) -> Request | None:
        """No request follows: `RedirectedError`."""
        raise RedirectedError(RedirectedError.__doc__)


def _secret(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() if path else ""
    except UnicodeError:
        raise SecretNotReadableError(SecretNotReadableError.__doc__) from None


def _ascii(value: str, key: str) -> str:
    if not value.isascii():
        raise LoginNotAsciiError(key)
    return value
