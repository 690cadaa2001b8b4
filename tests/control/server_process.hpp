#pragma once

// A control server in a process of its own, with a stand-in for the shard:
//
//   open_channel "acquirer"  opened
//                "silent"    never answered
//                "offend"    the client is declared to have broken a rule
//                "counted"   opened; the row is how many the stand-in has opened before it by asking itself
//                "hold"      as "acquirer", and the client is released only after an order to drain "release"
//                another     ENOENT
//   open_stream  "acquirer"  opened; the first byte in it is in how many groups the process is a member
//                "silent"    never answered
//                another     ENOENT
//   close_channel 0          closed; another that is not open: EBUSY
//
// With two shards, names that end in "@1" belong to the second.
//
// With `refreshes` there is a stand-in for the configuration, too: the first refresh adds a group "ADDED" with the same
// members, the second removes it, and so on; the shard applies each when it is told to drain "refresh". Two files are always about to
// expire; the first line says how often it was asked.
//
// With `ports` there is a desk for ports of that group, in a world without sockets, where no process can be identified. Which
// clients are alive is so.
//
// With `wrapper_rules` there is a desk for libtlsmux_ssl; the rules' upstreams are that group's.
//
// The stand-in writes into a client's memory when it is admitted and at each request, as a shard would.

#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "config/identity.hpp"
#include "shm/layout.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/broker/log_pipe.hpp"
#include "tests/broker/process.hpp"

namespace tlsmux::test {

struct ServerOptions {
  config::Membership members{.users = {::geteuid()}, .groups = {}};
  config::MemorySettings memory{.clients_max = 64, .channels_per_client = 4, .slots_per_channel = 8, .slot_bytes = 256};
  std::vector<uid_t> observers{::geteuid()};
  std::uint64_t descriptors_max = 0;  // 0: as it is
  bool takes_descriptors = false;     // as before Linux 6.16
  bool refreshes = false;
  std::chrono::milliseconds expiry_interval = std::chrono::hours(1);
  bool makes_spares = false;
  config::IdleStrategy idle_strategy = config::IdleStrategy::power;
  std::uint32_t shards = 1;
  std::optional<config::PortSettings> ports{};
  std::vector<config::SslWrapperRule> wrapper_rules{};
};

inline constexpr std::uint64_t kGroupBytes = 8192;

class ServerProcess {
 public:
  explicit ServerProcess(const ServerOptions& options = {});

  [[nodiscard]] const std::string& path() const { return path_; }
  // The group that `options` is about; there is another, "OTHER", without members.
  [[nodiscard]] const std::string& group() const { return group_; }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  LogPipe& log() { return log_; }
  void send_signal(int signal) const { process_.send_signal(signal); }
  // What a dead broker looks like.
  void close_broker_socket() { broker_socket_.reset(); }
  int stop();
  int wait() { return process_.wait(); }

 private:
  int run(const ServerOptions& options);

  TemporaryFolder folder_;
  std::string path_;
  std::string group_;
  shm::UniqueFd engine_socket_;
  shm::UniqueFd broker_socket_;
  LogPipe log_;
  ChildProcess process_;
};

}  // namespace tlsmux::test
