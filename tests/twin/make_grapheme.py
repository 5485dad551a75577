#!/usr/bin/env python3
"""src/token/grapheme_table.c, made anew: what each character is to the rules of grapheme clusters, as Hugging Face's tokenizers 0.23 has it
(Unicode 17.0). It does not say so, but shows where clusters end (make_charsmap.py), so it is asked about each character among others.

    python tests/twin/make_grapheme.py > src/token/grapheme_table.c

Flags are the one class that does not show, since two of them are always longer than the clusters that count."""
from tokenizers import normalizers

from make_charsmap import BYTES, probe

PAGE = 64
QUESTIONS = {"extend": ("a", ""), "prepend": ("", "a"), "control": ("", "\u0301\u0301"), "before_joiner": ("\xa9", "\u200d\xa9\u0301"), "pictograph": ("", "\u200d\xa9\u0301"), "consonant": ("", "\u094d\u0915\u0301"),
         "linker": ("\u0915", "\u0915\u0301"), "after_linker": ("\u0915\u094d", "\u0915\u0301"), "before_vowel": ("", "\u1161\u0301"), "before_final": ("", "\u11a8\u0301"), "after_first": ("\u1112", "\u0301"), "after_vowel": ("\uac00", "\u0301")}


def ask(before, after):
    """Clusters of each line, where one of six bytes or more counts as its characters; by code point."""
    points = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c not in (10, 13)]
    lines = normalizers.Precompiled(BYTES).normalize_str(probe(before, after, points)).split("\u010a")
    assert len(lines) == len(points) + 1
    return dict(zip(points, map(len, lines)))


def kind(n, c):
    """A letter of grapheme.h.  n: what was asked."""
    if 0x1F1E6 <= c < 0x1F200:
        return "r"
    if c > 0x7F and n["extend"][c] == 1:                      # it joins what stands before
        if n["linker"][c] == 4:
            return "v"
        if n["after_linker"][c] == 5:
            return "e" if n["before_joiner"][c] == 5 else "j"
        return "n" if n["before_joiner"][c] == 5 else "s"
    if n["prepend"][c] == 1:
        return "p"
    if n["control"][c] == 2:
        return "c"
    if c > 0x7F and n["pictograph"][c] == 4:
        return "x"
    if n["consonant"][c] == 4:
        return "k"
    if n["before_vowel"][c] == 2 and n["before_final"][c] == 3:
        return "T" if n["after_vowel"][c] == 3 else "I"
    if n["before_vowel"][c] == 3:
        return "L" if n["before_final"][c] == 2 else "H" if n["after_vowel"][c] == 2 else "V"
    return "."


def main():
    n = {name: ask(*around) for name, around in QUESTIONS.items()}
    kinds = ["c" if c in (0, 10, 13) else "." if 0xD800 <= c < 0xE000 else kind(n, c) for c in range(0x110000)]
    tags = {*range(0xE0020, 0xE0080), *range(0xE0100, 0xE01F0)}
    assert all(kinds[c] == ("e" if c in tags else "c") for c in range(0xE0000, 0xE1000)) and set(kinds[0x20000:0xE0000] + kinds[0xE1000:]) == {"."}
    pages, index = [], []
    for first in range(0, 0x20000, PAGE):
        page = "".join(kinds[first:first + PAGE])
        if page not in pages:
            pages.append(page)
        index.append(pages.index(page))
    assert len(pages) <= 256
    print("/* grapheme_table.c -- made by tests/twin/make_grapheme.py from what Hugging Face's tokenizers do: change that, not this. */")
    print('#include "token/grapheme.h"\n\nconst uint8_t grapheme_page[GRAPHEME_PAGES] = {')
    for i in range(0, len(index), 32):
        print("    " + " ".join(f"{x}," for x in index[i:i + 32]))
    print("};\n\n/* A letter a character: enum grapheme_kind. */\nconst char grapheme_letter[][GRAPHEME_PAGE + 1] = {")
    for i in range(0, len(pages), 2):
        print("    " + " ".join(f'"{page}",' for page in pages[i:i + 2]))
    print("};")


if __name__ == "__main__":
    main()
