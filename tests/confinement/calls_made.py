#!/usr/bin/env python3
"""Which system calls each kind of thread of tlsmuxd's engines made once it had its rules, and which it may make but did
not: from traces of `strace -f -qq -o FILE PROGRAM`. The lists are read from engine/confinement/call_rules.cpp.

    strace -f -qq -o /tmp/trace build/release/test-programs/system_test
    tests/confinement/calls_made.py /tmp/trace
"""

import collections
import pathlib
import re
import sys

RULES = pathlib.Path(__file__).parents[2] / "engine/confinement/call_rules.cpp"
LISTS = {
    "control": ["kControl", "kWrapper", "kEveryThread"],
    "data_loop": ["kDataLoop", "kEveryThread"],
    "worker": ["kEveryThread"],
    "wrapper": ["kWrapper", "kEveryThread"],
    "log": ["kLog", "kEveryThread"],
}
CALL = re.compile(r"^(\d+)\s+(?:<\.\.\. )?([a-z0-9_]+)(?:\(| resumed>)(.*)")
NAME = re.compile(r'^PR_SET_NAME, "([^"]+)"')
CHILD = re.compile(r"=> \{parent_tid=\[(\d+)\]|\) = (\d+)$|\bresumed>.* = (\d+)$")


def allowed():
    text = RULES.read_text()
    calls = {}
    for name in {name for names in LISTS.values() for name in names}:
        body = re.search(r"constexpr auto " + name + r" = .*?\}\);", text, re.S).group(0)
        calls[name] = set(re.findall(r'\.call = "([a-z0-9_]+)"', body))
    return {kind: set().union(*(calls[name] for name in names)) for kind, names in LISTS.items()}


def kind_of(name, is_main):
    if name == "tlsmuxd-engine":
        return "control" if is_main else "log"
    for start, kind in (("tmx-data", "data_loop"), ("tmx-worker", "worker"), ("tmx-wrapper", "wrapper")):
        if name.startswith(start):
            return kind
    return None


class Thread:
    def __init__(self):
        self.name = ""
        self.is_main = False
        self.has_rules = False


def read(path, made):
    threads = collections.defaultdict(Thread)
    for line in open(path, errors="replace"):
        match = CALL.match(line)
        if not match:
            continue
        tid, call, rest = match.groups()
        thread = threads[tid]
        if call == "prctl" and (name := NAME.match(rest)):
            thread.name = name.group(1)
            thread.is_main = thread.is_main or thread.name == "tlsmuxd-engine"
        elif call == "execve":
            threads[tid] = Thread()
        if call in ("clone", "clone3", "fork", "vfork") and (child := CHILD.search(line.rstrip())):
            number = next(group for group in child.groups() if group)
            threads[number].name = threads[number].name or thread.name
        if call == "seccomp":
            thread.has_rules = thread.has_rules or "SECCOMP_SET_MODE_FILTER" in rest
        elif thread.has_rules and (kind := kind_of(thread.name, thread.is_main)):
            made[kind][call] += 1


def main():
    made = collections.defaultdict(collections.Counter)
    for path in sys.argv[1:]:
        read(path, made)
    for kind, may in allowed().items():
        unknown = set(made[kind]) - may
        print(f"{kind}: may {len(may)}, made {len(set(made[kind]) & may)}")
        print("  not made: " + " ".join(sorted(may - set(made[kind]))))
        if unknown:
            print("  NOT LISTED: " + " ".join(sorted(unknown)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
