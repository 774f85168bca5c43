"""The commands and their global options."""

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.cli import (
    account,
    ae,
    check,
    demo,
    evaluate,
    import_data,
    infer,
    model,
    patient,
    phantom,
    serve,
    status,
    storage,
    study,
    train,
)

app = typer.Typer(
    name="dicom-node", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback()
def remember_configuration(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Configuration file. Default: $DICOM_NODE_CONFIG, then /etc/dicom-node/node.toml, then the built-in one."
        ),
    ] = None,
) -> None:
    """A DICOM node that finds COVID-19 lesions in chest CT and answers with SR and SEG. Not for diagnostic use."""
    context.obj = config


app.command()(serve.run)
app.command()(serve.listen)
app.command()(serve.work)
app.command()(serve.web)
app.command()(demo.demo)
app.command()(infer.infer)
app.command()(check.check)
app.command()(status.status)
app.add_typer(study.app, name="study")
app.add_typer(patient.app, name="patient")
app.add_typer(model.app, name="model")
app.add_typer(ae.app, name="ae")
app.add_typer(account.app, name="account")
app.add_typer(storage.app, name="storage")
app.command("import")(import_data.import_data)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(phantom.phantom)
