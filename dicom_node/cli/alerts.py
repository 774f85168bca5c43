"""The commands of the group `alerts`."""

import typer

from dicom_node.cli.context import settings_of
from dicom_node.cli.failures import OPERATION_FAILED
from dicom_node.cli.output import console

app = typer.Typer(help="What an administrator should look at.", no_args_is_help=True)


@app.command("list")
def list_alerts(context: typer.Context) -> None:
    """List the alerts that stand."""
    from dicom_node.clock import SystemClock
    from dicom_node.index import open_index_engine
    from storage.alerts import AlertLedger

    standing = AlertLedger(open_index_engine(settings_of(context)), now=SystemClock().now).standing()
    lines = [f"{alert.since:%Y-%m-%d %H:%M} UTC  {alert.subject}: {alert.words}" for alert in standing]
    for line in lines or ["no alert stands"]:
        console().print(line, soft_wrap=True, markup=False)


@app.command()
def test(context: typer.Context) -> None:
    """Send a test message by mail and webhook, as far as they are configured; exit code 1 when one is not taken or nobody is told."""
    from dicom_node.alerts.channels import NOT_TAKEN, send_mail, send_webhook
    from dicom_node.clock import SystemClock
    from storage.alerts import AlertMessage

    settings = settings_of(context)
    message: AlertMessage = AlertMessage(
        message_id=0, subject="test", words="This is a test.", is_over=False, at=SystemClock().now()
    )
    if not settings.alerts.channels:
        words = "neither [alerts].mail_host nor [alerts].webhook_url is set: nobody is told"
        console().print(words, soft_wrap=True, markup=False)
        raise typer.Exit(OPERATION_FAILED)
    senders = {"mail": send_mail, "webhook": send_webhook}
    failed = False
    for channel in settings.alerts.channels:
        try:
            senders[channel](settings.alerts, settings.node.ae_title, message)
            console().print(f"{channel}: taken")
        except NOT_TAKEN as error:
            failed = True
            console().print(f"{channel}: not taken: {error}", soft_wrap=True, markup=False)
    if failed:
        raise typer.Exit(OPERATION_FAILED)
