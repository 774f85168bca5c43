"""What an administrator reads about each mistake in a configuration file."""

import subprocess
import sys
from pathlib import Path

import pytest

from config import ConfigError, load_settings

PEER = '[[peers]]\nname = "pacs"\nae_title = "PACS"\nhost = "h"\nport = 104\n'
RECEIVER = PEER + "receives_results = true\n"
RULE = '[[rule]]\nname = "r"\n'

MISTAKES = [
    ('[node]\nae_title = ""', '[node].ae_title: must not be empty or spaces only (PS3.5 6.2) (got "")'),
    ('[node]\nae_title = "   "', '[node].ae_title: must not be empty or spaces only (PS3.5 6.2) (got "   ")'),
    (
        '[node]\nae_title = "SEVENTEEN_LETTERS"',
        '[node].ae_title: must have at most 16 characters (PS3.5 6.2) (got "SEVENTEEN_LETTERS")',
    ),
    (
        "[node]\nae_title = 'A\\B'",
        '[node].ae_title: must be printable ASCII without backslash (PS3.5 6.2) (got "A\\\\B")',
    ),
    ("[node]\nae_title = 5", "[node].ae_title: must be a string in quotes (got 5)"),
    ("[node]\naetitle = 'A'", '[node].aetitle: is not a setting; did you mean ae_title? (got "A")'),
    ("[node]\ndata_dir = 'data'", '[node].data_dir: must be an absolute path (got "data")'),
    ("[node]\ndata_dir = 5", "[node].data_dir: must be a string in quotes (got 5)"),
    ("[nodes]\nae_title = 'A'", "[nodes]: is not a table of this file; did you mean [node]?"),
    ("ae_title = 'A'", 'ae_title: stands outside of a table (got "A")'),
    ("node = 'A'", '[node]: must be a table (got "A")'),
    ("[listen]\nhost = 'http://x'", '[listen].host: must be an IP address or a host name (got "http://x")'),
    ("[listen]\nhost = '10.0.0'", '[listen].host: must be a complete IP address or a host name (got "10.0.0")'),
    ("[listen]\nhost = ''", '[listen].host: must be an IP address or a host name (got "")'),
    ("[listen]\nport = -1", "[listen].port: must be at least 0 (got -1)"),
    ("[listen]\nport = 65536", "[listen].port: must be at most 65535 (got 65536)"),
    ("[listen]\nport = '104'", '[listen].port: must be a whole number (got "104")'),
    ("[listen]\nport = 104.0", "[listen].port: must be a whole number (got 104.0)"),
    ("[listen]\nport = true", "[listen].port: must be a whole number (got true)"),
    ("[listen]\nplain = 'yes'", '[listen].plain: must be true or false (got "yes")'),
    ("[listen]\nplain = false", "[listen]: plain is false and tls.enabled too: no port would be open"),
    ("[listen]\nmaximum_associations = 0", "[listen].maximum_associations: must be at least 1 (got 0)"),
    ("[listen]\nmaximum_associations = 201", "[listen].maximum_associations: must be at most 200 (got 201)"),
    ("[listen]\nmaximum_pdu_bytes = 100", "[listen].maximum_pdu_bytes: must be at least 4096 (got 100)"),
    ("[listen]\nnetwork_timeout_s = 0", "[listen].network_timeout_s: must be greater than 0 (got 0)"),
    ("[listen]\nnetwork_timeout_s = '60s'", '[listen].network_timeout_s: must be a number (got "60s")'),
    ("[listen]\nnetwork_timeout_s = nan", "[listen].network_timeout_s: must be a finite number (got nan)"),
    (
        "[listen.tls]\nenabled = true",
        "[listen.tls]: certificate must be set where enabled is true: without one there is no TLS",
    ),
    ("[listen.tls]\nkey = 'k.pem'", '[listen.tls].key: must be an absolute path (got "k.pem")'),
    (
        "[listen.tls]\nclient_certificates = 'yes'",
        "[listen.tls].client_certificates: must be 'required', 'optional' or 'none' (got \"yes\")",
    ),
    ("[storage]\nfree_floor_bytes = -1", "[storage].free_floor_bytes: must be at least 0 (got -1)"),
    ("[storage]\nfree_floor_bytes = '5 GB'", '[storage].free_floor_bytes: must be a whole number (got "5 GB")'),
    (
        "[storage]\ndatabase_url = 'db.example.org'",
        '[storage].database_url: must be an address as postgresql+psycopg://user@host/name (got "db.example.org")',
    ),
    (
        "[storage]\ndatabase_url = 'postgres://x/y'",
        '[storage].database_url: must begin with postgresql+psycopg:// (got "postgres://x/y")',
    ),
    (
        "[storage]\ndatabase_url = 'postgresql+psycopg2://a:secret@x/y'",
        '[storage].database_url: must begin with postgresql+psycopg:// (got "postgresql+psycopg2://a:***@x/y")',
    ),
    (
        "[storage]\ndatabase_url = 'mysql://x/y'",
        "[storage].database_url: must be PostgreSQL (postgresql+psycopg://user@host/name) or SQLite "
        '(sqlite:////path/index.sqlite) (got "mysql://x/y")',
    ),
    ("[completeness]\nquiet_period_s = -5", "[completeness].quiet_period_s: must be greater than 0 (got -5)"),
    ("[completeness]\ncap_s = 1", "[completeness].cap_s: must not be less than quiet_period_s (got 1)"),
    (
        "[completeness]\ncount_peer = 'pasc'",
        '[completeness].count_peer: is not the name of a [[peers]] block (got "pasc")',
    ),
    ("[priors]\nmaximum_count = 17", "[priors].maximum_count: must be at most 16 (got 17)"),
    ("[priors]\nmaximum_age_days = 1.5", "[priors].maximum_age_days: must be a whole number (got 1.5)"),
    ("[priors]\nfetch_chest_words = 'chest'", '[priors].fetch_chest_words: must be a list (got "chest")'),
    ("[pipeline]\ndevice = 'gpu'", '[pipeline].device: must be "auto", "cpu", "cuda" or "cuda:0" (got "gpu")'),
    ("[pipeline]\nmodel_pack = '/no/such'", '[pipeline].model_pack: must be a folder that exists (got "/no/such")'),
    (
        "[pipeline]\nprecision = 'half'",
        "[pipeline].precision: must be 'auto', 'float32' or 'bfloat16' (got \"half\")",
    ),
    ("[pipeline]\nattempts = 0", "[pipeline].attempts: must be at least 1 (got 0)"),
    ("[pipeline]\nthreads = -1", "[pipeline].threads: must be at least 0 (got -1)"),
    ("[results]\nsr_layout = 'ohif'", "[results].sr_layout: must be 'viewers' or 'segments_only' (got \"ohif\")"),
    ("[results]\ndevice_serial_number = ''", '[results].device_serial_number: must not be empty (got "")'),
    (
        "[results]\ninstitution = 'a\\b'",
        '[results].institution: must have no backslash and no control characters (got "a\\\\b")',
    ),
    ("[outbox]\nmaximum_retry_s = 1", "[outbox].maximum_retry_s: must not be less than first_retry_s (got 1)"),
    ("[outbox]\ncommitment_resends = 101", "[outbox].commitment_resends: must be at most 100 (got 101)"),
    ("[log]\nlevel = 'info'", "[log].level: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR' (got \"info\")"),
    ("[peers]\nname = 'x'", "[peers]: must be written as [[peers]] blocks"),
    ("[[peers]]\nname = 'x'\nae_title = 'X'\nhost = 'h'", "[peers #1].port: is missing"),
    (PEER.replace("104", "0"), "[peers #1].port: must be at least 1 (got 0)"),
    (
        PEER.replace('"pacs"', '"pacs/1"'),
        '[peers #1].name: must be letters, digits, space, dot, hyphen, underscore (got "pacs/1")',
    ),
    (PEER + PEER.replace('"PACS"', '"P2"'), '[peers #2].name: is also that of peer #1 (got "pacs")'),
    (PEER + PEER.replace('"pacs"', '"p2"'), '[peers #2].ae_title: is also that of peer #1 (got "PACS")'),
    (PEER + "recieves_results = true", "[peers #1].recieves_results: is not a setting; did you mean receives_results?"),
    (PEER + "results = []", "[peers #1].results: must not be empty (got [])"),
    (PEER + "results = 'sr'", '[peers #1].results: must be a list (got "sr")'),
    (
        PEER + "results = ['dicom']",
        "[peers #1].results.0: must be 'sr', 'seg', 'pdf', 'capture', 'presentation_state' or 'key_objects'",
    ),
    (PEER + "query_retrieve = 'wado'", "[peers #1].query_retrieve: must be 'none', 'move' or 'get' (got \"wado\")"),
    (
        PEER + "caller_fingerprints = 'abc'",
        "[peers #1].caller_fingerprints.0: must be a SHA-256 fingerprint: 64 hexadecimal digits, colons allowed",
    ),
    (
        PEER + "[[peers.series]]\naction = 'take'",
        "[peers #1].series #1.action: must be 'only', 'exclude' or 'prefer' (got \"take\")",
    ),
    ("[rule]\nname = 'x'", "[rule]: must be written as [[rule]] blocks"),
    (RULE + "[rule.match]\nhours = '7-19'", "[rule #1].match.hours: must be two different times of the day"),
    (RULE + "[rule.match]\nhours = '07:00-07:00'", "[rule #1].match.hours: must be two different times of the day"),
    (RULE + "[rule.match]\nmodalities = 'CT'", "[rule #1].match.modalities: is not a setting; did you mean modality?"),
    (
        RULE + "[rule.match]\nweekdays = ['monday']",
        "[rule #1].match.weekdays.0: must be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun' (got \"monday\")",
    ),
    (
        RULE + "[rule.match]\nthinnest_mm = 3\nthickest_mm = 1",
        "[rule #1].match: thinnest_mm must not be more than thickest_mm",
    ),
    (RULE + "priority = 'high'", "[rule #1].priority: must be 'urgent', 'normal' or 'low' (got \"high\")"),
    (RULE + "prioritty = 'low'", "[rule #1].prioritty: is not a setting; did you mean priority?"),
    (RULE + "run = 'no'", '[rule #1].run: must be true or false (got "no")'),
    (RULE + "run = false\npriority = 'low'", "[rule #1]: results and priority are for run = true"),
    (
        RULE + "results = { pasc = ['sr'] }",
        '[rule #1].results: names no [[peers]] block with receives_results = true (got "pasc")',
    ),
    (
        RECEIVER + RULE + "results = { pacs = ['sr', 'dicom'] }",
        "[rule #1].results.pacs.1: must be 'sr', 'seg', 'pdf', 'capture', 'presentation_state' or 'key_objects'",
    ),
    (
        PEER + RULE + "results = { pacs = ['sr'] }",
        '[rule #1].results: names no [[peers]] block with receives_results = true (got "pacs")',
    ),
    (
        RULE + "[rule.match]\nmodality = 'CT'\n" + RULE,
        '[rule #2].name: is also that of rule #1 (got "r")',
    ),
    (RULE + RULE.replace('"r"', '"s"'), "[rule #2]: is never reached: rule #1 fits every study; put that one last"),
    (PEER + "series = 'thin'", '[peers #1].series: must be written as [[peers.series]] blocks (got "thin")'),
]


def problems_of(path: Path, text: str) -> list[str]:
    """The lines about a file with this text."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return [str(problem) for problem in caught.value.problems]


def test_the_table_is_as_long_as_promised() -> None:
    """At least 60, none twice."""
    assert len({text for text, _ in MISTAKES}) == len(MISTAKES) >= 60


@pytest.mark.parametrize(("text", "line"), MISTAKES)
def test_a_mistake_gives_one_line_that_says_what_to_change(tmp_path: Path, text: str, line: str) -> None:
    """Table, key, rule, and the value as found."""
    (problem,) = problems_of(tmp_path / "node.toml", text)
    assert problem.startswith(line)


def test_mistakes_of_every_table_are_reported_at_once(tmp_path: Path) -> None:
    """Nobody corrects a file eight times."""
    tables = ("node", "listen", "storage", "completeness", "priors", "pipeline", "results", "outbox", "log")
    text = "\n".join(f"[{table}]\nzzz = 1" for table in tables) + "\n" + PEER + "zzz = 1\n"
    keys = [problem.split(":")[0] for problem in problems_of(tmp_path / "node.toml", text)]
    assert keys == [*(f"[{table}].zzz" for table in tables), "[peers #1].zzz"]


@pytest.mark.parametrize("command", [["listen"], ["work"], ["run"], ["check"], ["config", "check"]])
def test_nothing_is_started_with_a_mistake(tmp_path: Path, command: list[str]) -> None:
    """Exit code 2, each problem on a line of its own, no data folder made."""
    path = tmp_path / "node.toml"
    path.write_text(f'[node]\ndata_dir = "{tmp_path}/data"\nae_title = ""\n[listen]\nport = -1\n')
    arguments = [sys.executable, "-m", "dicom_node", "--config", str(path), *command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert [line.split(":")[1].strip() for line in lines] == ["[node].ae_title", "[listen].port"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["node.toml"]
