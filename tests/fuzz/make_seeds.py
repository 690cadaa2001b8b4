#!/usr/bin/env python3
"""Writes the first inputs of the fuzz targets whose inputs are lists of decisions: what a friend does. `scripts/fuzz --keep`
adds what the fuzzer makes of them. The sources of the targets say what the bytes mean.

usage: tests/fuzz/make_seeds.py
"""
import pathlib

CORPORA = pathlib.Path(__file__).resolve().parent / "corpus"

# First whether there are desks. A step is the number of the client * 64 + the message, or what happens.
ATTACH, MAPPED, OPEN, CLOSE, OBSERVE, GROUPS, DRAIN, REFRESH, STREAM, MATCH, ANNOUNCE = 0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13
CLAIM, RELEASE, REFILL, HAPPENS, LEASES = 8, 9, 10, 15, 47
SHARD_ANSWERS, SECOND_SHARD_ANSWERS, LEAVES, DIES, READS, REFRESHED = 16, 17, 20, 21, 22, 27

HELLO_1_2 = bytes.fromhex("160303002c0200002803030000000000000000000000000000000000000000000000000000000000000000"
                          "00c02b000000")
HELLO_1_3 = bytes.fromhex("16030300320200002e03030000000000000000000000000000000000000000000000000000000000000000"
                          "00130100000600" "2b00020304")

SEEDS = {
    "control_fuzz": {
        "life": [1, ATTACH, MAPPED, OPEN, 0, SHARD_ANSWERS, 0, READS, CLOSE, 0, SHARD_ANSWERS, 0, READS, LEAVES],
        "two_shards": [1, ATTACH, MAPPED, OPEN, 0, SHARD_ANSWERS, 0, OPEN, 1, SECOND_SHARD_ANSWERS, 0, READS, DIES,
                       SHARD_ANSWERS, 0, SECOND_SHARD_ANSWERS, 0],
        "looks": [1, OBSERVE, READS, GROUPS, READS, MATCH, 12, READS, 64 + ANNOUNCE, 12, 0, 1, 64 + READS],
        "ports": [1, ATTACH, MAPPED, READS, CLAIM, 8, READS, HAPPENS, 2, 0, 0, 2, 0, 50, LEASES, 6, REFILL, RELEASE, 0, 0,
                  HAPPENS, 2, 1, 0, 100, CLAIM, 2, 7, READS, LEAVES],
        "scribbles": [1, ATTACH, MAPPED, READS, CLAIM, 9, READS, LEASES, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, REFILL, READS],
        "senseless": [1, ATTACH, MAPPED, 32 + CLAIM, 9, 1, 0, 20, 7, READS, 64 + ATTACH, 64 + MAPPED, 96 + RELEASE, 0, 0, 1,
                      0, 16, 7, 64 + READS],
        "denied": [1, ATTACH, MAPPED, HAPPENS, 2, 6, 4, 0, HAPPENS, 2, 5, 5, 1, 0, 50, CLAIM, 9, READS],
        "orders": [1, DRAIN, SHARD_ANSWERS, 0, READS, 64 + REFRESH, REFRESHED, 0, 64 + READS],
        "stream": [1, STREAM, SHARD_ANSWERS, 0, READS, STREAM, SHARD_ANSWERS, 1],
        "crowd": [1, ATTACH, 64 + ATTACH, 128 + ATTACH, MAPPED, 64 + MAPPED, LEAVES, SHARD_ANSWERS, 0, 128 + ATTACH],
    },
    # First whether key logs are allowed. An operation, which fields follow, these.
    "broker_fuzz": {
        "serve": [0, 1, 0, 2, 16, 2, 5, 0, 1, 0, 3, 0],
        "files": [0, 4, 2, 1, 4, 2, 3, 4, 2, 4, 4, 2, 5, 4, 2, 7],
        "directory": [0, 4, 2, 2, 4, 6, 2, 1, 4, 6, 2, 2, 4, 3, 1, 2, 4, 7, 1, 2, 1],
        "trace": [0, 6, 72, 1, 0, 0, 6, 8, 1, 1, 0, 0, 9, 0, 6, 8, 200, 0, 0],
        "candidate": [0, 7, 0, 4, 34, 1, 8, 0, 7, 0, 2, 48, 2, 9, 0],
        "ports": [0, 10, 0, 11, 0, 2, 0, 1, 12, 0, 13, 0, 14, 0, 0, 15, 0, 0, 16, 0, 240, 241],
        "key_log": [1, 4, 2, 7],
        "engines": [0, 2, 16, 2, 5, 0, 243, 10, 0, 2, 16, 2, 242, 243, 10, 0],
        # 244 writes rows of ports into the group's object (how, the rows), 245 asks what is shorter, 247 is another tlsmuxd.
        "kept_tables": [0, 2, 16, 2, 244, 3, 7, 64, 8, 64, 9, 0, 5, 0, 243, 242, 3, 0, 247, 10, 0, 10, 0],
        "bent_tables": [0, 2, 16, 2, 244, 18, 7, 64, 8, 64, 1, 0, 24, 255, 5, 0, 243, 242, 3, 0, 247, 10, 0],
        "others_tables": [0, 2, 16, 2, 244, 10, 7, 64, 8, 64, 247, 10, 0],
        "shortened": [0, 2, 16, 2, 244, 34, 7, 64, 8, 64, 1, 0, 245, 5, 0, 243, 242, 247, 10, 0],
    },
    # A step: 0 submits (how, slots, length, timeout), 6 lets the engine work, 7 the time go, 8 and 9 the others work.
    "intake_fuzz": {
        "honest": [0, 1, 0, 1, 20, 100, 6, 8, 9, 6, 0, 5, 2, 3, 30, 0, 6, 7, 10],
        "lends": [0, 1, 0, 1, 20, 0, 0, 6, 2, 3, 0, 0, 6],
        "replies": [0, 10, 0, 1, 20, 0, 1, 6],
        "twice": [10, 1, 0, 1, 0, 1, 20, 200, 0, 1, 0, 1, 20, 200, 10, 0, 7, 250],
        "runs_ahead": [3, 100, 0, 5, 6, 8, 6],
        "takes_back": [10, 1, 0, 1, 0, 1, 20, 200, 11, 0, 4, 7, 250, 8, 6],
    },
    # What correlates, then steps: the number of the session * 16 + what: 0 a client asks (how), 2 an answer (how), 4 a message
    # and 5 bytes (length, these), 6 no record (how), 7 time goes, 9 it ends (how), 10 a client gives up (which, how), 11
    # replies, 13 it is connected, and what was sent arrives.
    "host_fuzz": {
        "in_order": [0, 13, 0, 0, 0, 1, 13, 2, 0, 2, 0],
        "by_key": [1, 13, 0, 0, 0, 1, 13, 2, 1, 2, 0],
        "two_sessions": [1, 13, 29, 0, 0, 0, 1, 2, 0, 18, 0],
        "others_session": [1, 13, 29, 0, 0, 0, 1, 2, 32, 1, 18, 32, 0],
        "iso8583": [2, 13, 0, 0, 0, 1, 13, 2, 1, 2, 0],
        "signs_on": [3, 13, 2, 0, 0, 0, 2, 0, 7, 30, 2, 0, 13],
        "sign_on_refused": [3, 0, 0, 13, 2, 2, 13, 7, 50],
        "twice": [1, 13, 0, 0, 13, 2, 4, 2, 0],
        "unasked": bytes([1, 13, 4, 9]) + b"9999 echo" + bytes([11, 0, 13]),
        "tests_network": bytes([2, 13, 4, 55]) + b"0800822000000000000004000000000000001122103000000123301" + bytes([13]),
        "late": [1, 13, 0, 64, 13, 7, 60, 2, 0],
        "of_the_dead": [1, 13, 0, 0, 13, 10, 0, 2, 2, 0],
        "withdrawn": [1, 0, 0, 10, 0, 0, 13, 13],
        "lost": [1, 13, 0, 0, 13, 9, 2, 13, 0, 1, 13, 2, 0],
        "no_record": [1, 13, 0, 0, 6, 1],
        "goodbye": [1, 13, 0, 0, 13, 6, 0, 13],
        "in_pieces": [1, 13, 5, 3, 0, 9, 57, 5, 8, 57, 57, 57, 32, 101, 99, 104, 111],
        "too_long": [1, 13, 0, 0, 5, 2, 255, 255],
        "keep_alive": [1, 13, 7, 40, 2, 0, 7, 40, 7, 40],
        "refused": [0, 9, 0, 7, 50, 13, 0, 0, 2, 0],
    },
    # Version and way; then how many bytes are bent, and where the flight is cut.
    "handshake_fuzz": {
        "true_1_2": [4, 0, 0, 100, 0, 0, 100],
        "true_1_3": [5, 0, 0, 100, 0, 0, 100],
        "bent_1_3": [5, 1, 0, 50, 1, 1, 0, 0],
        "raw_1_2": bytes([2, 30]) + HELLO_1_2,
        "raw_1_3": bytes([3, 30]) + HELLO_1_3,
        "messages": bytes([0]) + HELLO_1_2[5:],
    },
    # The number of the program * 64 + what it does: 0 connects, 2 announces, 3 falsely, 4 ends, 5 closes, 6 sends.
    "redirect_fuzz": {
        "stream": [0, 2, 1, 6, 0x32, 1, 2, 2, 104, 50, 5],
        "announced_first": [2, 1, 6, 0, 4, 64, 66, 1, 70, 0, 128, 130, 1],
        "false": [3, 16, 0, 2, 1, 6, 0, 67, 1, 64],
        "relay": [0, 2, 0, 6, 128, 1, 0, 0, 255, 1, 0, 5],
        "false_ticket": [3, 16, 6, 64, 5],
        "half": [0, 2, 1, 6, 128, 0, 0, 100, 4],
    },
    "stream_start_fuzz": {"two_names": bytes(16 + 256) + b"\x02h2\x08http/1.1"},
}


def main():
    for target, seeds in SEEDS.items():
        folder = CORPORA / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, seed in seeds.items():
            (folder / name).write_bytes(bytes(seed))


if __name__ == "__main__":
    main()
