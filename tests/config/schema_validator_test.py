#!/usr/bin/env python3
"""Validates the examples, and documents with one thing wrong, against the schema with python3-jsonschema.

usage: schema_validator_test.py CONFIG_FOLDER        exit code 77: skipped
"""
import copy
import json
import pathlib
import re
import sys

try:
    import jsonschema
except ImportError:
    print("SKIPPED: python3-jsonschema is not installed (apt-get install python3-jsonschema)")
    sys.exit(77)

# (path of keys, value): each must be refused.
BAD = [
    (("engine", "worker_threads"), 0),
    (("engine", "worker_thread"), 4),
    (("engine", "control_socket"), "relative"),
    (("engine", "log", "level"), "loud"),
    (("groups",), []),
    (("groups", 0, "name"), "a b"),
    (("groups", 0, "users"), "one"),
    (("groups", 0, "memory"), {"slots_per_channel": 3}),
    (("groups", 0, "ports"), {"static": [{"port": 0, "label": "a"}]}),
    (("groups", 0, "ports"), {"static": [{"port": 1}]}),
    (("groups", 0, "ports"), {"static": [{"port": 1, "label": "a b"}]}),
    (("groups", 0, "ports"), {"static": [{"port": 1, "label": "a", "program": "/bin/sh"}]}),
    (("groups", 0, "ports"), {"dynamic": [{"from": 1, "to": 65536}]}),
    (("groups", 0, "ports"), {"dynamic": [{"from": 1, "to": 2, "protocols": "sctp"}]}),
    (("upstreams", 0, "groups"), ["A", "A"]),
    (("upstreams", 0, "endpoints", 0), "no-port"),
    (("upstreams", 0, "endpoints", 0), {"host": "h"}),
    (("upstreams", 0, "sessions"), 65),
    (("upstreams", 0, "streams"), {"kind": "rented"}),
    (("upstreams", 0, "streams"), {"open_max": 0}),
    (("ssl_wrapper",), {"rules": [{"name": "host.example"}]}),
    (("ssl_wrapper",), {"rules": [{"address": "192.0.2.0/x", "upstream": "a"}]}),
    (("ssl_wrapper",), {"rules": [{"name": "host.*", "upstream": "a"}]}),
    (("ssl_wrapper",), {"rules": [{"name": "host.example", "port": 0, "upstream": "a"}]}),
    (("upstreams", 0, "framing"), "length17"),
    (("upstreams", 0, "framing"), {"preset": "length17"}),
    (("upstreams", 0, "correlation"), {"kind": "bytes"}),
    (("upstreams", 0, "correlation"), {"mask": "f"}),
    (("upstreams", 0, "correlation"), {"iso8583": {"key_fields": []}}),
    (("upstreams", 0, "correlation"), {"iso8583": {"key_fields": [193]}}),
    (("upstreams", 0, "correlation"), {"iso8583": {"key_rules": [{"mti": "08"}]}}),
    (("upstreams", 0, "correlation"), {"iso8583": {"mti_map": ["0123456789"]}}),
    (("upstreams", 0, "framing"), {"length_adjust": 65536}),
    (("upstreams", 0, "heartbeat"), {"message": {"fields": {"x": "1"}}}),
    (("upstreams", 0, "heartbeat"), {"message": {"fields": {"70": 301}}}),
    (("upstreams", 0, "heartbeat"), {"message": {"mti": "800"}}),
    (("upstreams", 0, "auto_replies"), [{"set": {"39": "00"}}]),
    (("upstreams", 0, "endpoints", 0), {"host": "h", "port": 1, "weight": 0}),
    (("upstreams", 0, "tls", "pins"), ["sha256/abc="]),
    (("upstreams", 0, "tls", "version_min"), "1.1"),
    (("upstreams", 0, "tls", "certificate_file"), "/cert.pem"),
]


def load(path):
    """JSON with // comments; a comment sign within a text is none."""
    text = re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*', lambda match: match.group(1) or "", path.read_text())
    return json.loads(text)


def put(document, keys, value):
    for key in keys[:-1]:
        document = document[key] if isinstance(key, int) else document.setdefault(key, {})
    document[keys[-1]] = value


def main():
    folder = pathlib.Path(sys.argv[1])
    schema = json.loads((folder / "tlsmux.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    failures = []
    for path in sorted((folder / "examples").glob("*.json")):
        failures += [f"{path.name}: {error.json_path}: {error.message}" for error in validator.iter_errors(load(path))]
    minimal = load(folder / "examples" / "minimal.json")
    for keys, value in BAD:
        document = copy.deepcopy(minimal)
        put(document, keys, value)
        if validator.is_valid(document):
            failures.append(f"the schema takes {value!r} at {keys}")
    print("\n".join(failures) or f"the schema takes the examples and refuses {len(BAD)} bad documents")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
