#!/usr/bin/env python3
"""Has spin search all states of a model, or find the deliberate bug in it.

usage: run_model.py MODEL.pml FOLDER [-DNAME[=VALUE]...] [--finds TEXT] [--compiler CC] [--time-s N]
  FOLDER        where the checker is made; made anew
  --finds TEXT  there is a bug: spin must report an error whose message has this text
  --time-s N    the longest that the search may take
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import time

DEPTH_MAX = 1_000_000
STATE_BYTES_MAX = 2048
TIME_S_MAX = 100
# Anything of this means that not every state was seen.
INCOMPLETE = ("max search depth too small", "Search not completed", "out of memory", "search was truncated", "hash conflict: lost")


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("-D", dest="definitions", action="append", default=[])
    parser.add_argument("--finds")
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--time-s", type=int, default=TIME_S_MAX)
    return parser.parse_args()


def run(command, folder, time_s=None):
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=time_s)


def make_checker(arguments):
    """Spin writes the checker as a C program. What is searched for a known bug is short, and not worth optimising."""
    shutil.rmtree(arguments.folder, ignore_errors=True)
    arguments.folder.mkdir(parents=True)
    definitions = [f"-D{definition}" for definition in arguments.definitions]
    made = run(["spin", "-a", *definitions, str(arguments.model.resolve())], arguments.folder)
    if made.returncode != 0 or re.search(r"^spin: .*[Ee]rror", made.stdout, re.MULTILINE):
        sys.exit(f"spin cannot read the model:\n{made.stdout}")
    options = ["-w", "-DSAFETY", f"-DVECTORSZ={STATE_BYTES_MAX}", "-DCOLLAPSE", "-O0" if arguments.finds else "-O2"]
    compiled = run([arguments.compiler, *options, "-o", "pan", "pan.c"], arguments.folder)
    if compiled.returncode != 0:
        sys.exit(f"the checker cannot be compiled:\n{compiled.stdout}")


def print_trail(arguments):
    """The way to the error, step by step."""
    definitions = [f"-D{definition}" for definition in arguments.definitions]
    trail = next(arguments.folder.glob("*.trail"), None)
    if trail is not None:
        print(run(["spin", "-k", trail.name, "-p", "-g", *definitions, str(arguments.model.resolve())], arguments.folder).stdout)


def figure(pattern, output):
    found = re.search(pattern, output, re.MULTILINE)
    return found.group(1) if found else "?"


def main():
    arguments = parse_arguments()
    make_checker(arguments)
    begun = time.monotonic()
    table = "-w18" if arguments.finds else "-w24"
    output = run(["./pan", f"-m{DEPTH_MAX}", table], arguments.folder, arguments.time_s).stdout
    seconds = time.monotonic() - begun
    errors = figure(r"errors: (\d+)", output)
    states = figure(r"^\s*(\d+) states, stored", output)
    depth = figure(r"depth reached (\d+)", output)
    message = figure(r"^pan:1: (.*)$", output)
    print(f"{' '.join([arguments.model.name, *arguments.definitions])}: {states} states, depth {depth}, {seconds:.1f} s, "
          f"errors: {errors}")
    if arguments.finds is not None:
        print(f"found: {message}")
        if errors == "1" and arguments.finds in message:
            return 0
        print(f"The deliberate bug was not found: an error with '{arguments.finds}' was to be reported.\n{output}")
        return 1
    incomplete = [text for text in INCOMPLETE if text in output]
    if errors == "0" and not incomplete:
        shutil.rmtree(arguments.folder)
        return 0
    print(output)
    print_trail(arguments)
    return 1


if __name__ == "__main__":
    sys.exit(main())
