"""Passwords in addresses are shown nowhere: not in a listing, a difference, a problem, a support bundle."""

import pytest

from config.errors import ConfigError
from config.load import settings_from_text
from config.secrets import shown_value, without_secrets
from dicom_node.support.units import without_values

DATABASES = {
    "postgresql+psycopg://node:hunter2@db/x": "postgresql+psycopg://node:***@db/x",
    "postgresql+psycopg://node:p/hunter2@db:5432/x": "postgresql+psycopg://node:***@db:5432/x",
    "postgresql+psycopg://node:it's hunter2@db/x": "postgresql+psycopg://node:***@db/x",
    "postgresql+psycopg://node:a@hunter2@db/x": "postgresql+psycopg://node:***@db/x",
    "postgresql+psycopg://node:a:hunter2?#@db/x": "postgresql+psycopg://node:***@db/x",
    "postgresql+psycopg://node:p@x/hunter2@db/x": "postgresql+psycopg://node:***@db/x",
    "postgresql+psycopg://:hunter2@db/x": "postgresql+psycopg://:***@db/x",
    "postgresql+psycopg://node@db/x?password=hunter2&sslmode=require": "postgresql+psycopg://node@db/x?password=***&sslmode=require",
    "postgresql+psycopg:///x?host=db&user=node&sslpassword=it's hunter2": "postgresql+psycopg:///x?host=db&user=node&sslpassword=***",
    "postgresql+psycopg://node:hunter2@db/x?application_name=a@b": "postgresql+psycopg://node:***@db/x?application_name=a@b",
    "postgresql+psycopg://node@db/x": "postgresql+psycopg://node@db/x",
    "sqlite:////srv/a@b/index.sqlite": "sqlite:////srv/a@b/index.sqlite",
}


@pytest.mark.parametrize(("url", "shown"), DATABASES.items())
def test_of_a_database_everything_is_shown_but_its_password(url: str, shown: str) -> None:
    """Whatever characters it is made of, and wherever it stands."""
    assert shown_value("database_url", url) == shown
    assert "hunter2" not in str(shown_value("database_ulr", url))


@pytest.mark.parametrize("url", DATABASES)
@pytest.mark.parametrize(
    "form", ['database_url = "{}"', '# database_url="{}" # old', 'a = """{}"""', "url: {}", '"X={}"']
)
def test_no_text_of_a_configuration_has_the_password_of_a_database(url: str, form: str) -> None:
    """Comments too; the user stays, so that a difference says what was changed."""
    shown = without_secrets(form.format(url))
    assert "hunter2" not in shown
    assert "node" in shown or "node" not in url


@pytest.mark.parametrize("url", [url for url in DATABASES if "hunter2" in url])
@pytest.mark.parametrize("key", ["database_url", "database_ulr", "free_floor_bytes"])
def test_a_problem_with_an_address_does_not_quote_its_password(url: str, key: str) -> None:
    """Neither under its own key nor under a wrong one."""
    text = f'[storage]\n{key} = "{url.replace("postgresql+psycopg", "postgresql+psycopg2")}"\n'
    with pytest.raises(ConfigError) as raised:
        settings_from_text(text, name="node.toml")
    assert "hunter2" not in str(raised.value)


def test_of_a_webhook_scheme_and_host_are_shown() -> None:
    """Its path is the secret by which a service knows who calls."""
    url = "https://hooks.example.org:8443/services/T0/hunter2?key=hunter2"
    assert shown_value("webhook_url", url) == "https://hooks.example.org:8443/***"
    assert shown_value("webhook_url", "") == ""
    assert "hunter2" not in without_secrets(f'webhook_url = "{url}"')
    settings = settings_from_text(f'[alerts]\nwebhook_url = "{url}"\n', name="node.toml")
    assert "hunter2" not in repr(settings)
    with pytest.raises(ConfigError) as raised:
        settings_from_text(f'[alerts]\nwebhook_url = "ftp{url}"\n', name="node.toml")
    assert "hunter2" not in str(raised.value)


def test_a_secret_under_a_key_that_does_not_exist_is_not_quoted() -> None:
    """Whoever thinks that there is a key for the password of the database is told so without it."""
    with pytest.raises(ConfigError) as raised:
        settings_from_text('password = "hunter2"\n[storage]\ndatabase_password = "hunter2"\n', name="node.toml")
    assert "hunter2" not in str(raised.value) and "database_password" in str(raised.value)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Environment=HTTPS_PROXY=http://u:hunter2@proxy:3128", "Environment=HTTPS_PROXY=***"),
        ('Environment="A=b hunter2" TOKEN=hunter2', "Environment=A=*** TOKEN=***"),
        ("#Environment=PGPASSWORD=hunter2", "#Environment=PGPASSWORD=***"),
        ("Environment=A=1 \\\n  PGPASSWORD=hunter2\nUser=x", "Environment=A=*** PGPASSWORD=***\nUser=x"),
        ("Environment='A=hunter2", "Environment=***"),
        ("SetCredential=db:hunter2", "SetCredential=***"),
        ("EnvironmentFile=/etc/dicom-node/env", "EnvironmentFile=/etc/dicom-node/env"),
        (
            "ExecStart=/usr/bin/x --to=postgresql://u:p/hunter2@db/x",
            "ExecStart=/usr/bin/x --to=postgresql://u:***@db/x",
        ),
    ],
)
def test_of_the_units_the_names_of_variables_are_shown_not_what_they_are_set_to(line: str, shown: str) -> None:
    """Sites put passwords there."""
    assert without_values(line + "\n") == shown + "\n"
