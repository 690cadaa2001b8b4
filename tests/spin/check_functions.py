#!/usr/bin/env python3
"""Tells when a function that a model or a test repeats has changed since the two were compared.

modelled_functions.txt lists them: who repeats it, the function's file, the first words of its definition up to where no
other fits, and a fingerprint of its text without comments and white space.

usage: check_functions.py [--accept]
  --accept   writes the present fingerprints, once model and code have been compared again
"""
import hashlib
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIST = HERE / "modelled_functions.txt"


def without_comments(text):
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def closing(text, start, pair):
    """Behind the bracket that closes the one at `start`."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == pair[0]) - (text[at] == pair[1])
        if depth == 0:
            return at + 1
    return len(text)


def definitions(text, name):
    """Texts of the functions whose definition has this name, from the name to the closing brace."""
    opening = r"(?!\w)" if "(" in name else r"\s*\("
    for match in re.finditer(r"(?<![\w:.>])(?<!return )" + re.escape(name) + opening, text):
        brackets = text.find("(", match.start())
        behind = closing(text, brackets, "()")
        body = re.match(r"[^;{}()]*\{", text[behind:])
        if body:
            yield text[match.start():closing(text, behind + body.end() - 1, "{}")]


def fingerprint(path, name):
    file = ROOT / path
    if not file.is_file():
        return "no-such-file"
    found = list(definitions(without_comments(file.read_text()), name))
    if len(found) != 1:
        return "not-there" if not found else "several"
    return hashlib.sha256("".join(found[0].split()).encode()).hexdigest()[:12]


def main():
    accept = sys.argv[1:] == ["--accept"]
    if sys.argv[1:] and not accept:
        sys.exit(__doc__)
    lines = []
    changed = 0
    compared = 0
    for line in LIST.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            repeated_in, path, name, known = (part.strip() for part in line.split("|"))
            present = fingerprint(path, name)
            compared += 1
            if present != known:
                changed += 1
                print(f"{path}: {name} ({known} -> {present}): compare it with tests/{repeated_in}, and change that if it is "
                      "to follow; then tests/spin/check_functions.py --accept")
            line = f"{repeated_in} | {path} | {name} | {present}"
        lines.append(line)
    if accept:
        LIST.write_text("\n".join(lines) + "\n")
        return 0
    print(f"{compared} functions compared, {changed} have changed")
    return 1 if changed or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
