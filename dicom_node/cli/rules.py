"""The commands of the group `rules`: which studies run, how soon, and where their results go."""

from pathlib import Path
from typing import Annotated

import typer

from config.load import document_from_text, read_text
from config.settings import Settings
from dicom_node.audit.events import Action
from dicom_node.cli.auditing import attempt_on_study, note_study
from dicom_node.cli.configuring import print_lines
from dicom_node.cli.context import configuration_in_use, settings_of
from dicom_node.cli.output import print_json

app = typer.Typer(help="Look at the rules of the site, and try them on received studies.", no_args_is_help=True)

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.callback()
def group() -> None:
    """Look at the rules of the site, and try them on received studies."""


@app.command("list")
def list_rules(context: typer.Context, json: _Json = False) -> None:
    """List the rules in the order in which they are tried; the first that fits decides."""
    from dicom_node.rules_report import RulesList, rule_in_words

    rules = settings_of(context).rule
    if json:
        print_json(RulesList(rules=rules))
        return
    print_lines(f"{number} {rule.name}: {rule_in_words(rule)}" for number, rule in enumerate(rules, start=1))
    if not rules:
        print_lines(["no rules: every study runs, and its results go where the peers say"])


@app.command("test")
def try_rules(
    context: typer.Context,
    uid: Annotated[str, typer.Argument(metavar="UID", help="Study Instance UID of a received study.")],
    candidate: Annotated[
        Path | None,
        typer.Option("--config", help="File with other rules to try: [[rule]] blocks alone, or a whole configuration."),
    ] = None,
    json: _Json = False,
) -> None:
    """Show which rule fits a received study and why not the others, whether it would run and where results would go.

    Nothing is changed.
    """
    from dicom_node.index import open_index
    from dicom_node.rules_report import report_in_words, tested

    with attempt_on_study(context, uid, Action.READ):
        settings = settings_of(context)
        index = open_index(settings)
        report = tested(_settings_to_try(context, candidate) if candidate else settings, index, uid)
        view = index.study(uid)
    note_study(context, view, uid, Action.READ)
    if json:
        print_json(report)
        return
    print_lines(report_in_words(report))


def _settings_to_try(context: typer.Context, candidate: Path) -> Settings:
    """The rules of the file with what else is configured; the images are always those of the node itself."""
    from dicom_node.rules_candidate import settings_with_candidate

    path = configuration_in_use(context)
    current = document_from_text(read_text(path), name=str(path)) if path else {}
    settings = settings_with_candidate(current, read_text(candidate), name=str(candidate))
    return settings.model_copy(update={"node": settings_of(context).node})
