#!/usr/bin/env python3
"""The table of src/token/normal.c, made anew: characters that Unicode's normal forms change or order, but Hugging Face's tokenizers
do not, since its tables are of Unicode 12.0.  Found by asking it about each.

  pip install unicodedata2 tokenizers; make_normal.py
"""
import unicodedata2 as unicodedata
from tokenizers import normalizers

NFD, NFKD, NFC = normalizers.NFD(), normalizers.NFKD(), normalizers.NFC()
HIGH, LOW = "\u0301", "\u0334"                               # of combining classes 230 and 1


def is_new(c):
    order = unicodedata.combining(c)
    if order and (NFD.normalize_str("a" + HIGH + c) == "a" + HIGH + c if order < 230 else NFD.normalize_str("a" + c + LOW) == "a" + c + LOW):
        return True
    return bool(unicodedata.decomposition(c)) and not 0xAC00 <= ord(c) < 0xD7A4 and NFKD.normalize_str(c) == c


def parts_of_new(new):
    """Second parts of pairs that are composed to a new character, unless they are composed to others, too."""
    made = {}
    for c in map(chr, range(0x110000)):
        parts = unicodedata.decomposition(c).split()
        if len(parts) == 2 and parts[0][0] != "<":
            made.setdefault(parts[1], []).append(ord(c))
    return {int(second, 16) for second, results in made.items() if all(c in new for c in results)}


def main():
    new = {c for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000 and is_new(chr(c))}
    new |= parts_of_new(new)
    runs = []
    for c in sorted(new):
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    print(unicodedata.unidata_version, len(new), "characters")
    print(" ".join(f"{{ {a:#x}, {b:#x} }}," for a, b in runs))


if __name__ == "__main__":
    main()
