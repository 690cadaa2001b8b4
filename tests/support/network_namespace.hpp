#pragma once

// A network namespace of a test's own, with nothing in it but a loopback interface that is up: its own ports, sockets and
// sysctls below net/. It needs no ip(8), has no name and leaves nothing behind: it ends with the object and the processes
// that are in it. Making one needs root; see skip_without_network_namespaces().
//
//   if (skip_without_network_namespaces()) return;
//   const NetworkNamespace network;
//   network.in_thread([&] { CHECK(...); });                                       // as root, in this process
//   CHECK(network.in_process([&] { return try_bind(1000); }, {.uid = 1700, .gid = 1700}) == EADDRINUSE);
//   ChildProcess server([&] { network.enter({.uid = 1700}); return serve(); });   // lives on; tests/broker/process.hpp
//
// Users need no account: any numbers do. cgroups and mounts stay the machine's.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups{};  // supplementary; no others
};

class NetworkNamespace {
 public:
  // Throws std::runtime_error, as all of these do.
  NetworkNamespace();

  // Runs it in a thread of this process that is in the namespace, and waits for it. What it throws comes out here. Sockets
  // stay in the namespace they were made in, and forked children in that of the thread.
  void in_thread(const std::function<void()>& run) const;
  // Runs it in a forked child that is in the namespace. Its exit code: what `run` returned (0 to 255), or 128 + the signal
  // that killed it. CHECKs in there count for nothing.
  int in_process(const std::function<int()>& run, const Identity& identity = {}) const;
  // Puts the calling thread into the namespace; for children of one's own.
  void enter() const;
  // The same, and for good the user's: real, effective and saved ids. Only in a process with one thread.
  void enter(const Identity& identity) const;

  // "net/ipv4/ip_local_port_range", without a line's end. Lists of more than 256 KiB are cut.
  [[nodiscard]] std::string sysctl(const std::string& name) const;
  void set_sysctl(const std::string& name, const std::string& text) const;

  // For setns(2).
  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  [[nodiscard]] std::uint64_t inode() const;
  [[nodiscard]] std::uint64_t cookie() const;

 private:
  shm::UniqueFd descriptor_;
};

// Real, effective and saved ids, for good. Only in a process with one thread.
void become(const Identity& identity);

// True when the test cannot run, having said so with "SKIPPED:".
bool skip_without_network_namespaces();
bool skip_without_root();

}  // namespace tlsmux::test
