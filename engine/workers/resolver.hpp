#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/shard/mailbox.hpp"
#include "engine/workers/worker_jobs.hpp"

namespace tlsmux::engine {

// Asks the system (getaddrinfo): the addresses of `host`, best first (RFC 6724), or the reason in words. May block for
// as long as the name servers of the machine are silent. Any thread.
std::expected<std::vector<mux::Address>, std::string> lookup_by_system(const std::string& host, std::uint16_t port);

// One thread ("tmx-resolver") that looks up names, apart from the workers: a dead name server holds up no handshake.
// There are no time-outs here; whoever asks judges how long to wait, and ignores what comes too late.
class Resolver {
 public:
  using Lookup =
      std::function<std::expected<std::vector<mux::Address>, std::string>(const std::string&, std::uint16_t)>;

  // `results` outlives it. `lookup` may block; a call of it may go on after this object's end. Throws
  // std::system_error when the thread cannot be started.
  explicit Resolver(Mailbox<WorkerResult>& results, Lookup lookup = lookup_by_system);
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Does not wait for a lookup that blocks: its thread is left to end by itself and its result is dropped. So are jobs
  // not begun.
  ~Resolver();

  // Any thread; does not wait. A job not begun whose session has the same index is dropped: the session that asked has
  // given up. So the queue holds one job for each session at the most. Jobs that wait for the same host and port share
  // one lookup.
  void submit(ResolveJob job);

 private:
  struct State;

  std::shared_ptr<State> state_;  // shared with the thread, which may live longer
  std::thread thread_;
};

}  // namespace tlsmux::engine
