// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//
// The guard's programs: the kernel runs them at every bind of a socket of the cgroup, before it (bind4, bind6) and after
// it (post_bind4, post_bind6). The one before knows a port that was asked for; only the one after knows a port that the
// kernel chose for a bind to 0. A connect, sendto or listen without a bind comes past neither: that is what
// net.ipv4.ip_local_reserved_ports is for.
//
// The licence string at the end: the kernel lends bpf_get_current_task_btf only to programs under a licence that goes
// with its own, and the Apache License does not. So this file and port_guard.h, alone in this project, may also be used
// under the GPL, version 2, and it tells the kernel "GPL". The object made from them is part of tlsmuxd under the Apache
// License. ("Dual BSD/GPL" and "Dual MIT/GPL", which the kernel takes as well, would bring in a third licence.)

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ports/guard/port_guard.h"

// What a program of bind4 and bind6 says; REFUSE and ALLOW also those of the others. The capability is the one for low
// ports, CAP_NET_BIND_SERVICE.
enum { REFUSE = 0, ALLOW = 1, ALLOW_WITHOUT_CAPABILITY = 3 };

// As much of the kernel's as is read here; the offsets are looked up when the program is loaded.
struct task_struct {
  __s32 tgid;
  __u64 start_boottime;
  struct task_struct* group_leader;
} __attribute__((preserve_access_index));

struct rules_in_force {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);  // others may have more
  __uint(key_size, sizeof(struct GuardRuleKey));
  __uint(value_size, sizeof(struct GuardRule));
};

// One place: the rules in force. A program looks once and stays with what it found, and user space's update returns only
// when no program uses the old rules any more.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 1);
  __type(key, __u32);
  __array(values, struct rules_in_force);
} rules SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, TLSMUX_GUARD_PROCESSES_MAX);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct GuardProcess);
  __type(value, __u32);
} admitted SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct GuardSettings);
} settings SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct GuardCounters);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, TLSMUX_GUARD_EVENTS_BYTES);
} events SEC(".maps");

static __always_inline int is_admitted(const struct GuardRule* port) {
  struct task_struct* leader = ((struct task_struct*)bpf_get_current_task_btf())->group_leader;
  struct GuardProcess process = {
      .service_id = port->service_id,
      .start_ticks = leader->start_boottime / TLSMUX_GUARD_NS_PER_TICK,
      .pid = leader->tgid,
  };
  return bpf_map_lookup_elem(&admitted, &process) != 0;
}

static __always_inline int is_member(void* in_force, const struct GuardRule* port) {
  __u64 ids = bpf_get_current_uid_gid();  // real ones
  struct GuardRuleKey key = {.kind = guard_user, .service = port->service, .number = (__u32)ids};
  if (bpf_map_lookup_elem(in_force, &key)) return 1;
  key.kind = guard_unix_group;
  key.number = ids >> 32;
  if (bpf_map_lookup_elem(in_force, &key)) return 1;
  return is_admitted(port);
}

static __always_inline void tell(const struct GuardRuleKey* bound, const struct GuardRule* port, int is_denied) {
  __u32 zero = 0;
  struct GuardCounters* count = bpf_map_lookup_elem(&counters, &zero);
  if (!count) return;
  if (is_denied) __sync_fetch_and_add(&count->denials, 1);
  struct GuardRecord* record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
  if (!record) {
    __sync_fetch_and_add(&count->lost, 1);
    return;
  }
  __u64 ids = bpf_get_current_uid_gid();
  record->at_ns = bpf_ktime_get_ns();
  record->pid = bpf_get_current_pid_tgid() >> 32;
  record->uid = (__u32)ids;
  record->gid = ids >> 32;
  record->service = port->service;
  record->port = bound->number;
  record->protocol = bound->kind;
  record->is_denied = is_denied;
  record->reserved = 0;
  bpf_get_current_comm(record->program, sizeof(record->program));
  bpf_ringbuf_submit(record, 0);
}

static __always_inline int is_guarded_network(void* context) {
  __u32 zero = 0;
  const struct GuardSettings* setting = bpf_map_lookup_elem(&settings, &zero);
  return setting && setting->network_cookie == bpf_get_netns_cookie(context);
}

// Only a bind that was done is told of as allowed: the one before it may still fail for other reasons.
static __always_inline int judge(void* context, __u32 protocol, __u32 number, int is_done) {
  if (number == 0) return ALLOW;  // the kernel chooses, and post_bind sees what
  struct GuardRuleKey bound = {.number = number};
  if (protocol == IPPROTO_UDP) {
    bound.kind = guard_udp_port;
  } else if (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP) {
    bound.kind = guard_tcp_port;
  } else {
    return ALLOW;
  }

  __u32 zero = 0;
  void* in_force = bpf_map_lookup_elem(&rules, &zero);
  if (!in_force) return ALLOW;
  const struct GuardRule* port = bpf_map_lookup_elem(in_force, &bound);
  if (!port || !is_guarded_network(context)) return ALLOW;

  if (!is_member(in_force, port)) {
    tell(&bound, port, 1);
    bpf_set_retval(-EACCES);
    return REFUSE;
  }
  if (!is_done) return ALLOW_WITHOUT_CAPABILITY;
  tell(&bound, port, 0);
  return ALLOW;
}

SEC("cgroup/bind4") int tlsmux_bind4(struct bpf_sock_addr* context) {
  return judge(context, context->protocol, bpf_ntohs((__u16)context->user_port), 0);
}

// Addresses of IPv4 mapped into IPv6 come here, too.
SEC("cgroup/bind6") int tlsmux_bind6(struct bpf_sock_addr* context) {
  return judge(context, context->protocol, bpf_ntohs((__u16)context->user_port), 0);
}

SEC("cgroup/post_bind4") int tlsmux_post4(struct bpf_sock* context) {
  return judge(context, context->protocol, context->src_port, 1);
}

SEC("cgroup/post_bind6") int tlsmux_post6(struct bpf_sock* context) {
  return judge(context, context->protocol, context->src_port, 1);
}

char licence[] SEC("license") = "GPL";
