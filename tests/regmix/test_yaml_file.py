"""YAML files that people write, and those that would hang, flood or execute: each in one line."""

import os
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regmix import yaml_file
from regmix.errors import LONGEST, InputError

# what is in the file, and what is said of it; the number of the line where there is one
WRONG = {
    "a tag with bad text": ("a: 1\nb: !!int x\n", "line 2: has the tag"),
    "a float that is none": ("a: !!float x\n", "line 1: has the tag"),
    "an impossible date with a tag": ("a: !!timestamp 2001-99-99\n", "line 1: has the tag"),
    "binary": ("a: !!binary x\n", "has the tag"),
    "a set": ("a: !!set {x}\n", "has the tag"),
    "a tag without a name": ("a: ! x\n", "has the tag"),
    "code": ("a: !!python/object/apply:os.system ['true']\n", "has the tag"),
    "5,000 digits": (f"a: {'9' * 5000}\n", "has a number of 5000 characters"),
    "sixty-based digits": (f"a: 1{':1' * 9000}\n", "has a number of 18001 characters"),
    "digits of base 8": ("a: [1, 010]\n", "line 1: '010' is no decimal number"),
    "digits of base 60": ("a: 1:30\n", "line 1: '1:30' is no decimal number"),
    "a fraction of base 60": ("a: 1:30.5\n", "line 1: '1:30.5' is no decimal number"),
    "no digits at all": ("a: 0x_\n", "must be a number, but is '0x_'"),
    "a list as a key": ("? [1]\n: 2\n", "a key must be a name"),
    "a mapping as a key": ("{a: 1}: 2\n", "a key must be a name"),
    "a nested list": (f"a: {'[' * 300}{']' * 300}\n", "nested more than 30 levels"),
    "a nested mapping": ("{a: " * 300 + "}" * 300, "nested more than 30 levels"),
    "a very nested list": ("[" * 500_000, "nested more than 30 levels"),
    "an alias": ("a: &x 1\nb: *x\n", "line 1: has an anchor or alias"),
    "an alias of itself": ("a: &x [*x]\n", "line 1: has an anchor or alias"),
    "two documents": ("a: 1\n---\nb: 2\n", "line 2"),
    "a key twice": ("a: 1\n'a': 2\n", "line 2: key 'a' comes twice; remove one"),
    "a key twice below": ("b: {1: 1, '1': 2}\n", "key '1' comes twice"),
    "NUL": ("a: 1\nb: \0\n", "line 2: holds the character '\\x00'"),
    "an escape": ('a: "\\e[2J"\n', "line 1: holds the character '\\x1b'"),
    "a surrogate": ('a: "\\ud800"\n', "holds the character '\\ud800'"),
    "no character": ('a: "\\U00110000"\n', "line 1: chr() arg not in range"),
    "a tab": ("a:\n\tb: 1\n", "line 2"),
    "another version": (f"%YAML {'9' * 5000}.1\n--- a\n", "line 1"),
    "150,000 names": ("".join(f"a{n}: 1\n" for n in range(90_000)), "behind 25000 keys"),
    "a list": ("- 1\n", "must be a mapping of names to values"),
    "a text": ("text\n", "must be a mapping of names to values"),
    "nothing": ("", "must be a mapping of names to values"),
    "no end": ("a: [\n", "line 2"),
    "two megabytes": ("#" * 2_000_000, "longer than 1 MB"),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_wrong_is_one_line(tmp_path, text, expected):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as told:
        yaml_file.read(path)
    assert expected in str(told.value) and str(path) in str(told.value)


def test_what_is_no_readable_file_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "utf16").write_bytes("a: 1\n".encode("utf-16"))
    names = ("pipe", "loop", "utf16", "none", "x" * 300, "no\0ne", ".")
    for path in [*(tmp_path / name for name in names), tmp_path / "utf16" / "below"]:
        with pytest.raises(InputError, match=r"can't be read \("):
            yaml_file.read(path)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("1: a\non: b\n~: c\n<<: d\n", {"1": "a", "on": "b", "~": "c", "<<": "d"}),
        ("a: 2001-99-99\nb: 2001-01-01\n", {"a": "2001-99-99", "b": "2001-01-01"}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("a: 1e-3\nb: 0.1\nc: on\nd:\n", {"a": "1e-3", "b": 0.1, "c": True, "d": None}),
        ("a: .inf\n", {"a": float("inf")}),
        ("a: [1, two, {b: 3.0}]\n", {"a": [1, "two", {"b": 3.0}]}),
    ],
)  # fmt: skip
def test_names_are_the_text_that_was_written_and_dates_too(tmp_path, text, content):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    assert yaml_file.read(path) == content


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
CONTENT = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(st.dictionaries(st.text(), CONTENT))
@example({"\x85": "a\u2028b", "c": "\u2029 d\x85"})
@example({"a": ["1e-3", "0x10", "~", "2001-01-01", "on", "<<", "=", " "], "1": 1e300})
def test_what_is_written_is_read_as_it_was_or_refused_for_a_character(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "written.yaml"
    path.write_text(yaml_file.dump(content), encoding="utf-8")
    try:
        assert yaml_file.read(path) == content
    except InputError as error:
        assert "holds the character" in str(error)


def test_what_comes_twice_is_written_twice():
    twice = {"a": 1}
    assert "&" not in yaml_file.dump({"b": twice, "c": twice})


PIECES = st.sampled_from(
    [*string.printable, "\0", "\x85", "\ufeff", "é", ": ", "- ", "\n  ", "!!int ", "&a ", "*a",
     "---\n", "? ", "|\n", ">\n ", "{", "}", "[", "]", '"\\u', '"\\x', "%YAML ", "%TAG ", "a: "]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_text_is_a_mapping_of_names_or_one_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        content = yaml_file.read(path)
    except InputError as error:
        assert len(str(error)) <= LONGEST and "\n" not in str(error)
    else:
        assert all(isinstance(name, str) for name in content)
