#pragma once

// The guard: eBPF programs on the hooks for bind of a cgroup (bind4, bind6, post_bind4, post_bind6), by which the kernel
// refuses a group's ports to everybody else with EACCES, and gives those below 1024 to members without
// CAP_NET_BIND_SERVICE. It is pinned in a bpffs and outlives whoever put it there. Only libbpf's owner includes libbpf.
//
// It guards one network namespace. Where several engines guard ports of one namespace, each has its own programs; a bind
// must pass all of them, and each judges only its own ports.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ports/protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

// Who may bind what. A member is a process with one of the users as its real uid, or one of the Unix groups as its real
// gid (supplementary ones are beyond the programs' sight), or one that was admitted by Guard::admit().
struct GuardRules {
  struct Service {
    std::string name;
    std::vector<uid_t> users;
    std::vector<gid_t> unix_groups;
    std::vector<Port> ports;
  };
  std::vector<Service> services;
};

struct GuardPlace {
  std::string bpf_directory;  // a mounted bpffs
  std::string cgroup;         // of version 2; empty: its root, wherever that is mounted
  std::string instance;       // tells this engine's guard from others'; part of a file's name
};

struct GuardEvent {
  std::uint64_t at_ns = 0;  // CLOCK_MONOTONIC
  std::uint32_t pid = 0;    // in the machine's first pid namespace
  std::uint32_t uid = 0;    // real
  std::uint32_t gid = 0;
  std::uint32_t service = 0;  // by its place in the rules in force then
  Port port;
  bool is_denied = false;
  std::string program;
};

class Guard {
 public:
  // What is missing, in words that say what to do: this build's eBPF, the kernel's, the privilege, a mounted bpffs, a
  // cgroup of version 2. Nothing: it can be had.
  static std::expected<void, std::string> probe(const GuardPlace& place);

  // Puts it in place with these rules, for the network namespace of the calling thread: a guard of an earlier life with
  // the same instance is updated without a gap, or replaced, by attaching first, if it is of another version, cgroup or
  // namespace. `before`, unless null, is what this process had put there: where others have taken it away, its admitted
  // processes and its events go on in the new one, and so do the descriptors for these.
  static std::expected<Guard, std::string> put(const GuardPlace& place, const GuardRules& rules,
                                               const Guard* before = nullptr);
  // Takes it away. False: there was none.
  static std::expected<bool, std::string> remove(const GuardPlace& place);
  // The instances that are there, of all engines and versions.
  static std::vector<std::string> instances(const std::string& bpf_directory);

  Guard(Guard&&) noexcept;
  Guard& operator=(Guard&&) noexcept;
  ~Guard();  // the guard stays in place

  // All at once: a bind is judged by the old rules or by the new ones.
  std::expected<void, std::string> set_rules(const GuardRules& rules);
  // A process that is a member by other means than its real ids, such as a supplementary group, until dismissed, however
  // often it was admitted. A process that gets its pid later is not it. Admissions stay over changes of the rules and a
  // later put(). `pid` is that of the machine's first pid namespace. ESRCH: it is gone; ENOENT: no such service.
  std::expected<void, shm::SystemError> admit(std::string_view service, pid_t pid);
  void dismiss(std::string_view service, pid_t pid);
  // Also those that were admitted by whoever put it in place before.
  void dismiss_all();

  // Descriptors for GuardEvents, which may be used without privilege and in another process. Nothing but events can be
  // read, and nothing but their being read be changed, by them. A guard that put() has replaced has others.
  [[nodiscard]] std::vector<shm::UniqueFd> event_descriptors() const;

 private:
  struct Parts;
  explicit Guard(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// What the guard has seen, taken out once by one reader.
class GuardEvents {
 public:
  static std::expected<GuardEvents, std::string> open(std::vector<shm::UniqueFd> descriptors);
  GuardEvents(GuardEvents&&) noexcept;
  GuardEvents& operator=(GuardEvents&&) noexcept;
  ~GuardEvents();

  // Readable when there are events.
  [[nodiscard]] int descriptor() const;
  std::vector<GuardEvent> take();
  // Not told for want of room, since the guard was put in place.
  [[nodiscard]] std::uint64_t lost() const;
  [[nodiscard]] std::uint64_t denials() const;

 private:
  struct Parts;
  explicit GuardEvents(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace tlsmux::ports
