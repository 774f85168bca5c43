"""Which names may be of one person."""

# ruff: noqa: RUF001  # names in other alphabets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.listen.text import name_from
from storage.person_names import NameComparison, compare_names

AGREE, DIFFER, NOT_COMPARABLE = NameComparison.AGREE, NameComparison.DIFFER, NameComparison.NOT_COMPARABLE
LETTERS = st.characters(codec="utf-8", exclude_characters="\\")
NAMES = st.one_of(
    st.text(LETTERS, max_size=20),
    st.text("aA äß^=øŁ.-'JeDo", max_size=14),
    st.text("山田太郎やまだヤマダﾔﾏﾀﾞ^=", max_size=12),
    st.sampled_from(["Doe^Jane", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Иванов^Иван", "김^희중", "MÃ¼ller^Eva"]),
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Doe^Jane", "DOE^JANE"),
        ("Doe^Jane", "Jane^Doe"),
        ("Doe^Jane", "Doe Jane"),
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane", "Jane Doe^^^^"),
        ("Doe^Jane", "Doe^Jane^Maria"),
        ("Doe^Jane^M", "Doe^Jane^Maria"),
        ("Doe^J", "Doe^Jane"),
        ("Doe^Jane^^Dr", "Doe^Jane^^Prof"),
        ("Doe^Jane^^^MD", "Doe^Jane^^^PhD"),
        ("Doe^John^^^Jr.", "Doe^John"),
        ("Doe", "Doe^Jane"),
        ("", "Doe^Jane"),
        ("^^^^", "Doe^Jane"),
        ("==", "Doe^Jane"),
        ("O'Neil^Ann", "ONeil^Ann"),
        ("O'Neil^Ann", "O\N{RIGHT SINGLE QUOTATION MARK}Neil^Ann"),
        ("Meyer-Schulz^Eva", "Meyer Schulz^Eva"),
        ("Meyer-Schulz^Eva", "Meyer^Eva"),
        ("van den Berg^Jan", "Vandenberg^Jan"),
        ("Strauß^Eva", "STRAUSS^EVA"),
        ("Müller^Eva", "Mueller^Eva"),
        ("Müller^Eva", "Muller^Eva"),
        ("Sørensen^Åse", "Soerensen^Aase"),
        ("Sørensen^Åse", "Sorensen^Ase"),
        ("Wałęsa^Łukasz", "Walesa^Lukasz"),
        ("Þórsson^Æsa", "Thorsson^Aesa"),
        ("Yılmaz^İpek", "YILMAZ^IPEK"),
        ("Đorđević^Ana", "Dordevic^Ana"),
        ("Doe\u0301^Jane", "Doé^Jane"),
        ("Παπαδόπουλος^Γιώργος", "ΠΑΠΑΔΟΠΟΥΛΟΣ^ΓΙΩΡΓΟΣ"),
        ("Семёнов^Андрей", "СЕМЕНОВ^АНДРЕЙ"),
        ("قباني^لنزار", "قبّاني^لنزار"),
        ("أحمد^على", "احمد^علي"),
        ("שרון^דבורה", "שָׁרוֹן^דבורה"),
        ("MÃ¼ller^Eva", "Müller^Eva"),
        ("Yamada^Tarou", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Taro=山田^太郎"),
        ("Tanaka^Taro=山田^太郎", "Yamada^Tarou=山田太郎"),
        ("=山田^太郎", "山田^太郎"),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ^タロウ"),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", "Yamada^Tarou==やまだ^たろう"),
        ("ヤマダ・タロウ", "やまだ^たろう"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "Hong^Kil Dong=洪^吉洞"),
        ("홍^길동", "홍길동"),
        ("Wang^XiaoDong=王^小东", "王^小东"),
        ("Ｄｏｅ^Ｊａｎｅ", "Doe^Jane"),
    ],
)
def test_names_that_two_systems_write_differently_agree(one: str, other: str) -> None:
    """Neither spelling nor script nor misused carets make another person."""
    assert compare_names(one, other) is AGREE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Doe^Jane", "Roe^Jane"),
        ("Doe^Jane", "Doe^John"),
        ("Doe^Jane^Maria", "Doe^Jane^Anna"),
        ("Smith^John^^^Jr", "Smith^John^^^Sr"),
        ("Mueller^Eva", "Mahler^Eva"),
        ("山田^太郎", "山本^太郎"),
        ("Yamada^Tarou=山田^太郎", "Suzuki^Tarou=鈴木^太郎"),
        ("かとう^たろう", "がとう^たろう"),
        ("王^伟", "王^伟大"),
        ("홍^길동", "홍^길순"),
        ("Иванов^Иван", "Петров^Иван"),
        ("123", "Doe^Jane"),
    ],
)
def test_names_of_two_persons_differ(one: str, other: str) -> None:
    """Fair does not mean blind."""
    assert compare_names(one, other) is DIFFER


@pytest.mark.parametrize(("one", "other"), [("Yamada^Tarou", "=山田^太郎"), ("Ivanov^Ivan", "Иванов^Иван")])
def test_names_in_two_scripts_cannot_be_compared(one: str, other: str) -> None:
    """A transliteration would be a guess."""
    assert compare_names(one, other) is NOT_COMPARABLE


@given(NAMES, NAMES)
def test_the_order_of_the_names_does_not_matter(one: str, other: str) -> None:
    """Two studies contradict each other, or neither does."""
    assert compare_names(one, other) is compare_names(other, one)


@given(NAMES)
def test_a_name_agrees_with_itself(name: str) -> None:
    """Whatever is in it."""
    assert compare_names(name, name + "^") is AGREE
    assert compare_names(name, name) is AGREE


@given(NAMES)
def test_an_absent_name_agrees_with_every_name(name: str) -> None:
    """It says nothing."""
    assert compare_names(name, "") is AGREE


@given(st.text("abcdefgJKLäöü^", max_size=12))
def test_case_makes_no_difference(name: str) -> None:
    """Modalities like capitals."""
    assert compare_names(name, name.upper()) is AGREE


@pytest.mark.parametrize("name", ["Öz^Özgür", "Иванов^Иван", "山田^太郎"])
def test_utf_8_that_was_declared_as_latin_1_is_the_same_name(name: str) -> None:
    """As one modality of a site sends it; what Latin-1 makes of it has control characters, and needs them."""
    as_declared = name_from(name.encode(), ["ISO_IR 100"])
    assert any("\x80" <= letter <= "\x9f" for letter in as_declared)
    assert compare_names(as_declared, name_from(name.encode(), ["ISO_IR 192"])) is AGREE
