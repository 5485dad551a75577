#!/usr/bin/env python3
"""The table of src/token/bert.c, made anew: characters that are something else to Hugging Face's BertNormalizer, BertPreTokenizer and
StripAccents than their general category says, found by asking them about each.

The library's tables are of Unicode 8.0 and 9.0.  A character stands in the table if it is something else to utf8proc (any version,
the one at hand asked) or in Unicode 17.0; those between two that stand there join their row if they are the same to the library.

  pip install unicodedata2 tokenizers; make_bert.py
"""
import ctypes
import ctypes.util

import tokenizers
import unicodedata2 as unicodedata
from tokenizers import normalizers, pre_tokenizers

NAMES = {1: "CONTROL", 2: "PUNCTUATION", 4: "MARK", 8: "NONSPACING"}
CONTROL, PUNCTUATION, MARK, NONSPACING = NAMES
CLEAN = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
ACCENTS = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
STRIP, PIECES = normalizers.StripAccents(), pre_tokenizers.BertPreTokenizer()
utf8proc = ctypes.CDLL(ctypes.util.find_library("utf8proc"))
utf8proc.utf8proc_category_string.restype = ctypes.c_char_p
utf8proc.utf8proc_version.restype = ctypes.c_char_p


def to_library(c):
    kinds = CONTROL * (CLEAN.normalize_str(c) == "") | MARK * (STRIP.normalize_str(c) == "") | NONSPACING * (ACCENTS.normalize_str(c) == "")
    return kinds | PUNCTUATION * ([piece for piece, _ in PIECES.pre_tokenize_str(f"a{c}b")] == ["a", c, "b"])


def by_category(category):
    exact = {"Mn": MARK | NONSPACING, "Cc": CONTROL, "Cf": CONTROL, "Co": CONTROL}
    return exact.get(category) or {"M": MARK, "P": PUNCTUATION}.get(category[0], 0)


def is_exception(c, kinds):
    categories = utf8proc.utf8proc_category_string(ord(c)).decode(), unicodedata.category(c)
    return any(by_category(category) != kinds for category in categories)


def rows():
    """[first, last, what they are].  White space is told by another table, and is never in this one."""
    made, kinds_before = [], None
    for point in range(0x80, 0x110000):
        if 0xD800 <= point < 0xE000:
            continue
        kinds = to_library(chr(point))
        same, kinds_before = kinds == kinds_before, kinds
        if not same:
            open_row = None
        if is_exception(chr(point), kinds):
            if open_row:
                open_row[1] = point
            else:
                open_row = [point, point, kinds]
                made.append(open_row)
    return made


def main():
    table = rows()
    print(f"tokenizers {tokenizers.__version__}, utf8proc {utf8proc.utf8proc_version().decode()}, Unicode {unicodedata.unidata_version}: {len(table)} rows")
    line = "   "
    for first, last, kinds in table:
        names = " | ".join(name for bit, name in NAMES.items() if kinds & bit) or "0"
        row = f" {{ {first:#x}, {last:#x}, {names} }},"
        if len(line + row) > 150:
            print(line)
            line = "   "
        line += row
    print(line)


if __name__ == "__main__":
    main()
