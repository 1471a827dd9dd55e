"""Values and words that people mistype, and those that break programs."""

import datetime

NUMBERS = [0, 1, -1, 2, 3, 8, 16, 100, 0.5, 0.1, 1.5, 1e-3, 1e-300, 5e-324, 1e300, -1e308,
    2**53 + 1,
           2**63, 10**30, float("inf"), float("-inf"), float("nan")]  # fmt: skip
TEXTS = ["", " ", "x", "1", "0", "-1", "1e-3", "8/255", "1/0", "nan", "inf", "1e400", "9" * 400,
         "9" * 5000, "0x10", "1_000", "true", "on", "none", "null", "~", "é", "日本",
         "💥", "x" * 400,
         "a b", "a\tb", "a\nb", "\x1b[2J", "../x", ".", "..", "/proc", "/dev/null", "/dev/zero",
         "%s", "{}",
         "${HOME}", "$(id)", "a=b", "a:b", "--help", "*", "'", '"', "\\", "2001-01-01",
         "2001-99-99",
         "regmix", "mse", "small_cnn", "cosine", "fgsm", "digits", "file", "\u202e",
         "\ufeff"]  # fmt: skip
WHOLE = [True, False, None, [], {}, [1], ["x"], [[1]], {"a": 1}, {"a": {"b": []}},
    {"float": [0, 1]},
         [None, None], datetime.date(2001, 1, 1), b"bytes"]  # fmt: skip


def junk(chance):
    """Return any value that a file may hold."""
    return chance.choice(chance.choice([NUMBERS, TEXTS, WHOLE]))


def word(chance):
    """Return any text that a command line may hold: no NUL."""
    return str(chance.choice(chance.choice([NUMBERS, TEXTS])))


def flipped(chance, text):
    """Return a text with one mistake: a letter gone, doubled, exchanged or strange."""
    if not text:
        return "x"
    place = chance.randrange(len(text))
    strange = chance.choice(["", text[place] * 2, "\0", "\t", "é", "\n", ":", "#", "[", "{",
    "'", "&a ",
                             "*a", "!!int ", "!!python/name:os.system ", "- ", "? ", "---\n",
                             "<<: "])  # fmt: skip
    return text[:place] + strange + text[place + chance.randrange(2) :]


def damaged(chance, content):
    """Return bytes that are cut, changed or filled up."""
    place = chance.randrange(len(content)) if content else 0
    kind = chance.randrange(5)
    if kind == 0:
        return content[:place]
    if kind == 1:
        return content[:place] + chance.randbytes(8) + content[place + 8 :]
    if kind == 2:
        return chance.randbytes(200)
    return b"" if kind == 3 else content + b"\0" * 100
