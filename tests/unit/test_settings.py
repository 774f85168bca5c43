"""The configuration file: its reference, its mistakes, where it is looked for."""

import re
from importlib import metadata, resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config import ConfigError, Peer, Settings, load_settings
from config.names import ae_title_problem, host_problem
from config.reference import reference_page
from config.retention import RetentionSettings
from config.rules import MatchSettings, RuleSettings
from config.series import SeriesRuleSettings
from config.tls import ListenTlsSettings

REFERENCE = resources.files("config").joinpath("node.toml")


def problems_of(tmp_path: Path, text: str) -> list[str]:
    """The lines an administrator reads about a file with this text."""
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    return [str(problem) for problem in caught.value.problems]


def load(tmp_path: Path, text: str) -> Settings:
    """The settings of a file with this text."""
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def peer(**changes: object) -> str:
    """A [[peers]] block."""
    values = {"name": '"pacs"', "ae_title": '"PACS"', "host": '"localhost"', "port": 104, **changes}
    return "[[peers]]\n" + "\n".join(f"{key} = {value}" for key, value in values.items()) + "\n"


def test_reference_file_says_exactly_the_defaults(tmp_path: Path) -> None:
    """node.toml loads to the settings of a node without a file."""
    assert load(tmp_path, REFERENCE.read_text(encoding="utf-8")) == Settings()


def test_reference_file_has_every_setting() -> None:
    """No key is missing from node.toml."""
    written = re.findall(r"^(?:# )?(\w+) = ", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    tables = {name: field.annotation for name, field in Settings.model_fields.items() if name not in {"peers", "rule"}}
    tables = {**tables, "listen.tls": ListenTlsSettings}
    order = ["node", "listen", "listen.tls", *(name for name in tables if name not in {"node", "listen", "listen.tls"})]
    expected = [key for name in order for key in tables[name].model_fields if (name, key) != ("listen", "tls")]
    assert expected
    assert written[: len(expected)] == expected
    assert written[len(expected) :] == [
        *(name for name in Peer.model_fields if name != "series"),
        *SeriesRuleSettings.model_fields,
        *(name for name in RuleSettings.model_fields if name != "match"),
        *MatchSettings.model_fields,
    ]


def test_reference_file_explains_every_setting() -> None:
    """Each key of node.toml stands directly below a comment."""
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    settings = [index for index, line in enumerate(lines) if re.match(r"(# )?\w+ = ", line)]
    assert settings
    assert [lines[index] for index in settings if not lines[index - 1].startswith("#")] == []


def test_reference_file_shows_a_valid_peer(tmp_path: Path) -> None:
    """The commented [[peers]] block works when its comment signs are taken away."""
    text = REFERENCE.read_text(encoding="utf-8")
    block = re.sub(r"^# ?", "", text[text.index("# [[peers]]") :], flags=re.MULTILINE)
    assert load(tmp_path, block).peers[0].ae_title == "PACS"


def test_every_problem_of_a_series_rule_is_named_with_its_place(tmp_path: Path) -> None:
    """Which peer, which rule, which key; a rule that fits everything or nothing is a mistake too."""
    rules = (
        '[[peers.series]]\naction = "prefers"\ndescription = ["a"]\n'
        '[[peers.series]]\naction = "only"\n'
        '[[peers.series]]\naction = "only"\nthinnest_mm = 3.0\nthickest_mm = 1.0\n'
        '[[peers.series]]\naction = "only"\nkernels = ["B70*"]\n'
    )
    problems = problems_of(tmp_path, peer() + rules)
    assert [problem.split(":")[0] for problem in problems] == [
        "[peers #1].series #1.action",
        "[peers #1].series #2",
        "[peers #1].series #3",
        "[peers #1].series #4.kernels",
    ]
    assert "must say which series it is for" in problems[1]
    assert "did you mean kernel?" in problems[3]


def test_series_rules_are_read_in_their_order(tmp_path: Path) -> None:
    """A single pattern may stand without a list."""
    rules = '[[peers.series]]\naction = "exclude"\ndescription = "*abd*"\n[[peers.series]]\naction = "prefer"\nkernel = ["L"]\n'
    exclude, prefer = load(tmp_path, peer() + rules).peers[0].series
    assert (exclude.action, exclude.description) == ("exclude", ("*abd*",))
    assert (prefer.action, prefer.kernel, prefer.thickest_mm) == ("prefer", ("L",), 1000.0)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """Mistakes in several tables come in one error, one line each."""
    text = '[node]\nae_title = "A\\\\B"\n[listen]\nport = 0.5\nhost = "-"\n[priors]\nmaximum_count = -1\n'
    assert problems_of(tmp_path, text) == [
        '[node].ae_title: must be printable ASCII without backslash (PS3.5 6.2) (got "A\\\\B")',
        '[listen].host: must be an IP address or a host name (got "-")',
        "[listen].port: must be a whole number (got 0.5)",
        "[priors].maximum_count: must be at least 0 (got -1)",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[listen]\nprot = 104", "[listen].prot: is not a setting; did you mean port? (got 104)"),
        ("[listen]\nzzz = 1", "[listen].zzz: is not a setting (got 1)"),
        ("[lissen]", "[lissen]: is not a table of this file; did you mean [listen]?"),
        ("port = 104", "port: stands outside of a table (got 104)"),
        ("log = 3", "[log]: must be a table (got 3)"),
        ("[peers]\nname = 'x'", "[peers]: must be written as [[peers]] blocks"),
        (peer(prot=4), "[peers #1].prot: is not a setting; did you mean port? (got 4)"),
        (peer(port=70000), "[peers #1].port: must be at most 65535 (got 70000)"),
        ("[log]\nlevel = 'LOUD'", "[log].level: must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR' (got \"LOUD\")"),
        ("[listen.tls]\nprot = 1", "[listen.tls].prot: is not a setting; did you mean port? (got 1)"),
        ("[listen.tls]\ncertificate = 'a.pem'", '[listen.tls].certificate: must be an absolute path (got "a.pem")'),
        (
            "[listen.tls]\nenabled = true",
            "[listen.tls]: certificate must be set where enabled is true: without one there is no TLS",
        ),
        (
            "[listen.tls]\nenabled = true\ncertificate = '/c.pem'",
            '[listen.tls]: client_ca must be set, or client_certificates = "none": nobody could be verified',
        ),
        ("[listen]\nplain = false", "[listen]: plain is false and tls.enabled too: no port would be open"),
        (
            "[listen]\nport = 2762\n[listen.tls]\nenabled = true\ncertificate = '/c.pem'\nclient_ca = '/a.pem'",
            "[listen]: port and tls.port must differ (PS3.15 B.12)",
        ),
        (
            peer(caller_fingerprints='["ab:cd"]'),
            "[peers #1].caller_fingerprints.0: must be a SHA-256 fingerprint: 64 hexadecimal digits, colons allowed"
            ' (got "ab:cd")',
        ),
        ("[completeness]\nquiet_period_s = 0", "[completeness].quiet_period_s: must be greater than 0 (got 0)"),
        ("[completeness]\ncap_s = 5", "[completeness].cap_s: must not be less than quiet_period_s (got 5)"),
        ("[outbox]\nfirst_retry_s = inf", "[outbox].first_retry_s: must be a finite number (got inf)"),
        ("[node]\ndata_dir = 'data'", '[node].data_dir: must be an absolute path (got "data")'),
        ("[pipeline]\nmodel_pack = '/no'", '[pipeline].model_pack: must be a folder that exists (got "/no")'),
        ("[listen]\naccept_unknown_callers = 1", "[listen].accept_unknown_callers: must be true or false (got 1)"),
    ],
)
def test_mistake_names_key_rule_and_value(tmp_path: Path, text: str, line: str) -> None:
    """One mistake gives one line that says what to change."""
    assert problems_of(tmp_path, text)[:1] == [line]


def test_peers_share_neither_name_nor_ae_title(tmp_path: Path) -> None:
    """Duplicates are found even beside another mistake in a peer."""
    assert problems_of(tmp_path, peer() + peer(ae_title='"PACS "', port=0)) == [
        "[peers #2].port: must be at least 1 (got 0)",
        '[peers #2].name: is also that of peer #1 (got "pacs")',
        '[peers #2].ae_title: is also that of peer #1 (got "PACS ")',
    ]


def test_password_of_the_database_is_not_shown(tmp_path: Path) -> None:
    """Neither a problem line nor the printed settings carry the password."""
    line = problems_of(tmp_path, "[storage]\ndatabase_ulr = 'postgresql://node:secret@db/index'")[0]
    settings = load(tmp_path, "[storage]\ndatabase_url = 'postgresql://node:secret@db/index'")
    assert "secret" not in line + repr(settings)
    assert "node:***@db" in line


def test_syntax_error_names_its_line(tmp_path: Path) -> None:
    """A file that is not TOML is refused with the place."""
    assert "line 2" in problems_of(tmp_path, "[node]\nae_title = \n")[0]


def test_absent_file_is_a_problem_when_it_was_named(tmp_path: Path) -> None:
    """A file that was asked for and is not there is not replaced by defaults."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "absent.toml")


def test_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$DICOM_NODE_CONFIG is read when no path is given."""
    (tmp_path / "a.toml").write_text("[listen]\nport = 4242", encoding="utf-8")
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(tmp_path / "a.toml"))
    assert load_settings(None).listen.port == 4242


def test_index_is_a_file_in_the_data_folder_by_default(tmp_path: Path) -> None:
    """An empty database_url means SQLite in data_dir."""
    settings = load(tmp_path, f"[node]\ndata_dir = '{tmp_path}'")
    assert settings.database_url == f"sqlite:///{tmp_path}/index.sqlite"


def test_settings_cannot_be_changed() -> None:
    """What was read is what runs."""
    with pytest.raises(ValidationError):
        Settings().node.ae_title = "OTHER"


@pytest.mark.parametrize("title", ["", " ", " " * 16, "A" * 17, "A\\B", "A\nB", "Ä", "A\x00"])
def test_ae_title_outside_the_grammar_is_refused(title: str) -> None:
    """PS3.5 6.2 holds for every AE title."""
    assert ae_title_problem(title) is not None


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\"), min_size=1))
def test_printable_ae_title_is_taken_up_to_16_characters(title: str) -> None:
    """Any printable ASCII but the backslash may stand in an AE title."""
    assert (ae_title_problem(title) is None) == (len(title) <= 16)


@pytest.mark.parametrize("host", ["localhost", "pacs.example.org", "10.0.0.1", "::1", "fe80::1", "ct_1", "a" * 63])
def test_host_that_can_be_resolved_is_taken(host: str) -> None:
    """Addresses and host names pass."""
    assert host_problem(host) is None


@pytest.mark.parametrize("host", ["", " ", "a b", "-a", "a..b", "256.1.1.1", "1.2.3", "a" * 64, "http://pacs", "a/b"])
def test_host_that_cannot_be_resolved_is_refused(host: str) -> None:
    """What is no address and no host name is a problem before it is a time-out."""
    assert host_problem(host) is not None


def test_the_four_packages_belong_to_this_distribution_alone() -> None:
    """Another distribution called config or storage would silently overwrite ours."""
    owners = metadata.packages_distributions()
    for package in ("config", "dicom_node", "pipeline", "storage"):
        assert set(owners[package]) == {"dicom-node"}


def test_a_chest_word_that_is_no_regular_expression_is_named(tmp_path: Path) -> None:
    """At once, not when the first study comes."""
    path = tmp_path / "node.toml"
    path.write_text('[priors]\nfetch_chest_words = ["chest", "("]', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"must be a regular expression"):
        load_settings(path)


def test_a_peer_that_is_asked_for_counts_must_be_there(tmp_path: Path) -> None:
    """Both in [completeness] and for the studies of one peer."""
    text = "[completeness]\ncount_peer = 'pasc'\n" + peer(completeness="{ count_peer = 'x' }")
    assert problems_of(tmp_path, text) == [
        '[completeness].count_peer: is not the name of a [[peers]] block (got "pasc")',
        '[peers #1].completeness.count_peer: is not the name of a [[peers]] block (got "x")',
    ]


def test_completeness_differs_for_the_studies_of_a_peer_that_says_so(tmp_path: Path) -> None:
    """What it does not name stays as in [completeness]; strangers are as there."""
    text = "[completeness]\ncap_s = 1800.0\n" + peer(completeness="{ settle_s = 5.0, association_release = false }")
    settings = load(tmp_path, text)
    own = settings.completeness_of(settings.peers[0].ae_title)
    assert (own.settle_s, own.association_release, own.slice_positions, own.cap_s) == (5.0, False, True, 1800.0)
    assert settings.completeness_of("STRANGER") == settings.completeness


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nests arrays or tables beyond all reason"),
        ("[listen]\nport = " + "9" * 5000, "holds a number that is too long"),
        ("[listen]\nport = 0x" + "f" * 5000, "holds a number that is too long"),
        ("[[peers]]\nx = [[1, 0x" + "f" * 5000 + "]]", "holds a number that is too long"),
        ("a." * 5000 + "b = 1", "nests arrays or tables beyond all reason"),
    ],
    ids=["nesting", "number", "number in base 16", "number in a list", "dotted key"],
)
def test_what_the_toml_parser_does_not_catch_is_a_problem_of_the_file(tmp_path: Path, text: str, problem: str) -> None:
    """Fuzzing found that they ended in a traceback."""
    (line,) = problems_of(tmp_path, text)
    assert line.endswith(problem)


def test_a_folder_that_cannot_be_looked_at_is_a_problem_of_its_key(tmp_path: Path) -> None:
    """Fuzzing found a traceback over a name that is too long; a folder of somebody else had one too."""
    (line,) = problems_of(tmp_path, f"[pipeline]\nmodel_pack = '/{'a' * 300}'")
    assert "[pipeline].model_pack: must be a folder that this user can look at: File name too long" in line


def test_reference_page_is_printed_from_the_settings() -> None:
    """Every key of the settings is in docs/configuration.md, as node.toml explains it."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == reference_page()
    rows = re.findall(r"^\| `(\w+)` \| `.+` \| .+ \|$", page, re.MULTILINE)
    written = re.findall(r"^(?:# )?(\w+) = ", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == written


def test_rules_of_retention_that_contradict_each_other_are_a_mistake() -> None:
    """Nothing could ever be enough."""
    with pytest.raises(ValueError, match="at least free_below_bytes"):
        RetentionSettings(free_below_bytes=10, free_until_bytes=5)
