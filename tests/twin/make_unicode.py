#!/usr/bin/env python3
"""src/token/unicode.c, made anew from Python's unicodedata: what every character is to those who cut text.

  pip install unicodedata2==16.0.0; make_unicode.py > src/token/unicode.c

16.0 is what tiktoken 0.14 and tokenizers 0.23 cut by (fuzz_tokenizer.py compares all characters); unicodedata2 is the module of
Python 3.14 for older ones.
"""
try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

PAGE = 128
WHITE_SPACE = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}  # PropList.txt
OTHER, UPPER, LOWER, LETTER, MARK, NUMBER, SPACE = range(7)  # unicode.h


def class_of(point):
    if point in WHITE_SPACE:
        return SPACE
    category = unicodedata.category(chr(point))
    exact = {"Lu": UPPER, "Lt": UPPER, "Ll": LOWER}
    return exact.get(category) or {"L": LETTER, "M": MARK, "N": NUMBER}.get(category[0], OTHER)


def main():
    classes = [class_of(point) for point in range(0x110000)]
    assert classes[0xE0100:0xE01F0] == [MARK] * 0xF0 and classes[0xE0000:0xE0100] == [OTHER] * 0x100
    last = max(p for p in range(0xE0000) if classes[p] != OTHER)
    assert all(c == OTHER for c in classes[0xE01F0:])
    pages, index = [], []
    for first in range(0, last + 1, PAGE):
        page = tuple(classes[first:first + PAGE])
        if page not in pages:
            pages.append(page)
        index.append(pages.index(page))
    print(f"""/* unicode.c -- made by tests/twin/make_unicode.py from Unicode {unicodedata.unidata_version}: change that, not this.  UNICODE_PAGES is {(last + PAGE) // PAGE}. */
#include "token/unicode.h"

const uint8_t unicode_page[UNICODE_PAGES] = {{""")
    assert len(pages) <= 256
    for i in range(0, len(index), 32):
        print("    " + " ".join(f"{x}," for x in index[i:i + 32]))
    print("};\n\n/* One digit a character: 0 other, 1 upper and title case, 2 lower case, 3 letters without case, 4 marks, 5 numbers, 6 white space. */")
    print("const char unicode_digit[][UNICODE_PAGE + 1] = {")
    for page in pages:
        print('    "' + "".join(map(str, page)) + '",')
    print("};")


if __name__ == "__main__":
    main()
