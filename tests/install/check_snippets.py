#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Code in README.md and docs/*.md is code that the tests compile: check_snippets.py ROOT

A block fenced as c, cpp, cmake or make stands below a line `<!-- FILE -->`, and its lines, indentation aside, are consecutive
lines of that file; or below `<!-- not compiled: WHY -->`.
"""
import pathlib
import re
import sys
import textwrap

FENCE = re.compile(r"^```(c|cpp|cmake|make)\s*$")
MARK = re.compile(r"^<!-- (.+) -->$")


def blocks(text):
    """(line number, marker or None, code) of every fenced block of those languages."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if FENCE.match(line):
            end = next((i for i in range(number + 1, len(lines)) if lines[i].startswith("```")), len(lines))
            mark = MARK.match(lines[number - 1]) if number > 0 else None
            yield number + 1, mark.group(1) if mark else None, lines[number + 1:end]


def stripped(lines):
    return textwrap.dedent("\n".join(lines)).splitlines()


def holds(source, code):
    wanted = stripped(code)
    return any(stripped(source[i:i + len(code)]) == wanted for i in range(len(source) - len(code) + 1))


def main():
    root = pathlib.Path(sys.argv[1])
    checked, wrong = 0, []
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for number, mark, code in blocks(page.read_text(encoding="utf-8")):
            where = f"{page.relative_to(root)}:{number}"
            if mark and mark.startswith("not compiled: "):
                continue
            checked += 1
            if not mark or not (root / mark).is_file():
                wrong.append(f"{where}: above the block a line `<!-- FILE -->` is wanted, of a file that tests compile")
            elif not holds((root / mark).read_text(encoding="utf-8").splitlines(), code):
                wrong.append(f"{where}: these lines do not stand in {mark}")
    if not checked:
        wrong.append("no block of code was found; README.md has one")
    print("\n".join(wrong) if wrong else f"{checked} blocks of code are the examples'")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
