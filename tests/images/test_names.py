import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restoration.images.names import clean_name
from restoration.images.writing import result_name


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("beach.JPG", "beach"),
        ("beach.at.noon.jpeg", "beach.at.noon"),
        ("trip.v2", "trip.v2"),
        ("C:\\photos\\beach.png", "beach"),
        ("/etc/../beach.png", "beach"),
        ("..", "photo"),
        ("../../", "photo"),
        (".jpg", "photo"),
        (".hidden.png", "hidden"),
        ("", "photo"),
        (None, "photo"),
        ("Strand äöü 海滩 🏖.heic", "Strand äöü 海滩 🏖"),
        ("e\u0301te\u0301.png", "été"),
        ("a\0b\nc\x7fd.png", "abcd"),
        ("gpj\u202egnp.exe.png", "gpjgnp.exe"),
        ('a<b>:"|?*c.png', "a_b_c"),
        ("  -rf .png", "rf"),
        ("lone \ud800 surrogate.png", "lone  surrogate"),
    ],
)
def test_a_name_keeps_its_letters_and_loses_everything_dangerous(name, cleaned):
    assert clean_name(name) == cleaned


def test_a_result_name_says_what_was_done():
    assert result_name("beach", "enlarged", 2) == "beach-enlarged-2x"
    assert result_name("beach.jpg", "deblurred") == "beach-deblurred"
    assert result_name("", "enlarged", 4) == "photo-enlarged-4x"


def test_a_long_name_is_shortened_before_the_suffix():
    name = result_name("x" * 300, "enlarged", 2)
    assert name == "x" * 68 + "-enlarged-2x"
    assert len(name) == 80


def test_a_name_of_wide_characters_stays_short_enough_for_file_systems():
    name = result_name("🏖" * 100, "enlarged", 2)
    assert name == "🏖" * 47 + "-enlarged-2x"
    assert len(name.encode("utf-8")) == 200


@given(st.text(max_size=300), st.integers(1, 8))
def test_any_text_becomes_a_safe_file_name(text, scale):
    name = result_name(text, "restored", scale)
    assert 0 < len(name) <= 80
    assert len(name.encode("utf-8")) <= 200
    assert not set(name) & set('/\\<>:"|?*')
    assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in name)
    assert not name.startswith((".", "-", " "))
    assert "-restored" in name
