"""The commands and their global options."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli import (
    account,
    ae,
    ae_edit,
    ae_refused,
    alerts,
    audit,
    batch,
    check,
    config,
    demo,
    evaluate,
    import_data,
    infer,
    init,
    model,
    patient,
    phantom,
    retention,
    rules,
    serve,
    status,
    storage,
    study,
    support,
    train,
)

app = typer.Typer(name="dicom-node", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _say_version(wanted: bool) -> None:
    """Print it and end."""
    if wanted:
        typer.echo(f"dicom-node {version('dicom-node')}")
        raise typer.Exit


@app.callback()
def remember_configuration(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Configuration file. Default: $DICOM_NODE_CONFIG, then /etc/dicom-node/node.toml, then the built-in one.",
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """A DICOM node that finds COVID-19 lesions in chest CT and answers with SR and SEG. Not for diagnostic use."""
    context.obj = config_file


app.command()(serve.run)
app.command()(serve.listen)
app.command()(serve.work)
app.command()(serve.web)
app.command()(demo.demo)
app.command()(infer.infer)
app.command(cls=init.AskingCommand)(init.init)
app.command()(check.check)
app.command()(status.status)
app.command()(support.support_bundle)
app.add_typer(study.app, name="study")
app.add_typer(batch.app, name="batch")
app.add_typer(patient.app, name="patient")
app.add_typer(model.app, name="model")
ae.app.command("list")(ae_edit.list_peers)
for command in (ae_edit.add, ae_edit.change, ae_edit.remove, ae_edit.echo, ae_refused.refused, ae_refused.allow):
    ae.app.command()(command)
app.add_typer(ae.app, name="ae")
app.add_typer(config.app, name="config")
app.add_typer(rules.app, name="rules")
app.add_typer(account.app, name="account")
app.add_typer(storage.app, name="storage")
app.add_typer(retention.app, name="retention")
app.add_typer(audit.app, name="audit")
app.add_typer(alerts.app, name="alerts")
app.command("import")(import_data.import_data)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(phantom.phantom)
