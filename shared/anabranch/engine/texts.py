"""Shapes of text: how spaces, case and accents are treated wherever a value is cleaned or computed.

Cleanups of a mapping and functions of the expression language must agree to the letter, so both come from here.
"""

from __future__ import annotations

import re
import unicodedata

_SPACES = re.compile(r"\s+")

_LETTERS = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H", "ı": "i", "ĸ": "k",
    "ŋ": "n", "Ŋ": "N", "ŧ": "t", "Ŧ": "T", "ƒ": "f", "ə": "e", "Ə": "E", "ɓ": "b", "Ɓ": "B", "ɖ": "d", "Ɖ": "D",
    "ɗ": "d", "Ɗ": "D", "ǥ": "g", "Ǥ": "G", "ɨ": "i", "Ɨ": "I", "ƙ": "k", "Ƙ": "K", "ɲ": "n", "Ɲ": "N", "ƴ": "y",
    "Ƴ": "Y", "ƶ": "z", "Ƶ": "Z", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "‘": "'", "’": "'",
    "ʼ": "'", "ʹ": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "…": "...",
}  # fmt: skip
_TRANSLITERATION = str.maketrans(_LETTERS)
"""Letters and marks that have no decomposition, as they are commonly written in ASCII."""


def collapse_spaces(text: str) -> str:
    """Every run of white space is one space."""
    return _SPACES.sub(" ", text)


def title(text: str) -> str:
    """Each word begins with a capital, the rest is lower case.

    A word begins after anything that is no letter, digit or mark; an apostrophe begins one only after a single letter,
    so that `o'neil` becomes `O'Neil` and `they're` becomes `They're`.
    """
    result: list[str] = []
    length = 0
    for char in text.lower():
        if char.isalnum():
            result.append(char.title() if length == 0 else char)
            length += 1
        elif length and unicodedata.combining(char):
            result.append(char)
        else:
            result.append(char)
            length = length if char in "'’" and length > 1 else 0
    return "".join(result)


def strip_accents(text: str) -> str:
    """The text without combining marks, composed anew (NFC)."""
    if text.isascii():
        return text
    bare = "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")
    return unicodedata.normalize("NFC", bare)


def to_ascii(text: str) -> str:
    """The text in ASCII: letters as they are commonly transliterated, accents stripped, the rest dropped."""
    if text.isascii():
        return text
    spread = unicodedata.normalize("NFKD", text.translate(_TRANSLITERATION)).translate(_TRANSLITERATION)
    return spread.encode("ascii", "ignore").decode("ascii")
