#pragma once

// What the control thread does for programs under libtlsmux_ssl.so: which connection is shared, and whose a redirected
// socket is. Nothing is opened, and no thread runs, while ssl_wrapper has no rules.

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "engine/log/log.hpp"
#include "engine/shard/mailbox.hpp"
#include "engine/wrapper/announcement.hpp"
#include "engine/wrapper/upstream_maker.hpp"
#include "engine/wrapper/wrapper_thread.hpp"
#include "ports/diagnosis/connection_lookup.hpp"
#include "shm/control_protocol.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::wrapper {

// A process that asks.
struct Asker {
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;              // real, as membership goes by
  std::uint32_t effective_uid = 0;    // as its sockets go by
  std::vector<std::uint32_t> groups;  // those that it is a member of and asks for, by index
  std::vector<std::string> group_names;
};

// The control thread's.
class WrapperDesk {
 public:
  // Sockets that have been announced and are no streams yet, and relays, of all. A user has no more of them than are left
  // for all others.
  static constexpr std::uint32_t kSocketsMax = 512;

  // `config` tells the configuration that holds now; `add` is UpstreamMaker's. What they refer to outlives the desk.
  WrapperDesk(const std::function<const config::Config&()>& config, UpstreamMaker::Add add, Log& log)
      : config_(config), log_(log), maker_(config, std::move(add), log) {}

  // At the start, and whenever the configuration has changed: listens once there are rules. Where that fails, the log says
  // so, and no connection is shared.
  void open();

  // Not while the configuration is being changed: it may make an upstream.
  shm::MatchPeerReply match(const shm::MatchPeerRequest& request, const Asker& asker);
  // ENOENT: there are no rules, or no such upstream; EACCES: not for the process's groups, or the socket is not its own;
  // EAGAIN: there are too many.
  std::expected<shm::AnnounceStreamReply, shm::SystemError> announce(const shm::AnnounceStreamRequest& request,
                                                                     const Asker& asker);

  // Readable when something may have come of announcements.
  [[nodiscard]] int descriptor() const { return news_.descriptor(); }
  std::vector<StartedStream> take_started();

 private:
  struct Open {
    ports::ConnectionLookup lookup;
    std::uint16_t port = 0;
    std::uint64_t network_namespace = 0;
    std::unique_ptr<WrapperThread> thread;
  };

  std::expected<void, shm::SystemError> try_open();
  std::expected<void, shm::SystemError> judge(const shm::AnnounceStreamRequest& request, const Asker& asker);
  void forget(std::uint32_t uid);

  std::function<const config::Config&()> config_;
  Log& log_;
  UpstreamMaker maker_;
  Mailbox<WrapperNews> news_;
  std::optional<Open> open_;
  std::uint32_t sockets_ = 0;
  std::map<std::uint32_t, std::uint32_t> sockets_of_;  // by uid
};

}  // namespace tlsmux::engine::wrapper
