#pragma once

// A shard on its io_uring and its thread: waits, tells the shard what happened, lets it work.

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "config/config.hpp"
#include "engine/log/log.hpp"
#include "engine/shard/mailbox.hpp"
#include "engine/shard/shard_command.hpp"
#include "engine/shard/status_board.hpp"
#include "engine/tls/tls_session.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine {

struct DataLoopParts {
  const config::Config& config;
  Log& log;
  Mailbox<ShardCommand>& commands;
  Mailbox<ShardReply>& replies;
  std::vector<std::unique_ptr<tls::TlsClient>> tls_clients;  // one for each upstream; null: another shard's
  StatusBoard board;
  std::uint64_t seed = 0;
  std::uint32_t shard = 0;
  std::vector<std::vector<std::uint16_t>> source_ports{};  // for each upstream with tcp.source_ports; may be shorter
  std::optional<std::uint32_t> cpu{};                      // where the thread runs; nothing: the kernel chooses
};

class DataLoop {
 public:
  // Starts the thread and returns when it serves, or with what kept it from starting. The references in `parts`
  // outlive the object. Throws std::system_error when the kernel has no thread left for us.
  static std::expected<std::unique_ptr<DataLoop>, shm::SystemError> start(DataLoopParts parts);

  DataLoop(std::jthread thread, Mailbox<ShardCommand>& commands) : commands_(&commands), thread_(std::move(thread)) {}
  DataLoop(const DataLoop&) = delete;
  DataLoop& operator=(const DataLoop&) = delete;

  // Waits for the thread, which ends once a Drain command is done; tells it to, without patience, if nobody has.
  ~DataLoop() { commands_->post(Drain{.timeout_ms = 0}); }

 private:
  Mailbox<ShardCommand>* commands_;
  std::jthread thread_;
};

}  // namespace tlsmux::engine
