// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
#pragma once

// What the guard's programs have in common with those who load them and read from them. In C: both compilers read it.
// A change of anything here, or of a map in port_guard.bpf.c, needs a new TLSMUX_GUARD_VERSION: pinned maps outlive the
// program that made them.

#include <linux/types.h>

#define TLSMUX_GUARD_VERSION 1

// A file of /proc/PID/stat counts a process's start in these.
#define TLSMUX_GUARD_NS_PER_TICK 10000000

#define TLSMUX_GUARD_EVENTS_BYTES 262144
#define TLSMUX_GUARD_PROCESSES_MAX 65536

// What a rule is about. The first two are ports::Protocol.
enum GuardRuleKind {
  guard_tcp_port = 0,
  guard_udp_port = 1,
  guard_user = 2,
  guard_unix_group = 3,
};

// All rules are one map, so that one pointer in the kernel puts them in force.
struct GuardRuleKey {
  __u16 kind;
  __u16 service;  // its place in the rules; 0 for ports
  __u32 number;   // port, real uid or real gid
};

// Of a port: whose it is. For members, that the key is there says all.
struct GuardRule {
  __u64 service_id;  // made of the name: the same in all rules
  __u32 service;
  __u32 reserved;
};

// A process that was admitted. A pid that is used again has another start.
struct GuardProcess {
  __u64 service_id;
  __u64 start_ticks;  // since the boot
  __u32 pid;          // of the thread group, in the first pid namespace
  __u32 reserved;
};

struct GuardSettings {
  __u64 network_cookie;  // binds in other network namespaces are not judged
};

struct GuardCounters {
  __u64 denials;
  __u64 lost;  // events without room
};

struct GuardRecord {
  __u64 at_ns;  // CLOCK_MONOTONIC
  __u32 pid;
  __u32 uid;
  __u32 gid;
  __u32 service;
  __u16 port;
  __u8 protocol;  // ports::Protocol
  __u8 is_denied;
  char program[16];
  __u32 reserved;
};
