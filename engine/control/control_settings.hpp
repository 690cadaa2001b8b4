#pragma once

// What the control server is given at its making.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "engine/control/control_group.hpp"
#include "engine/control/refresher.hpp"
#include "engine/ports/port_desk.hpp"
#include "engine/shard/mailbox.hpp"
#include "engine/shard/shard_command.hpp"
#include "shm/layout.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::wrapper {
class WrapperDesk;
}  // namespace tlsmux::engine::wrapper

namespace tlsmux::engine::control {

struct ControlSettings {
  shm::UniqueFd listener;            // non-blocking
  std::vector<ControlGroup> groups;  // in the order of the configuration; what is added comes last
  shm::BootId boot_id{};
  shm::UniqueFd engine_pidfd;
  std::uint32_t engine_pid = 0;
  std::vector<uid_t> observers;  // may look at every group, and give orders: root and the engine's user
  std::uint32_t drain_timeout_ms = 0;
  std::uint64_t descriptors_needed = 0;  // for all that the configuration allows; for a message
  config::IdleStrategy idle_strategy = config::IdleStrategy::power;  // others: looks for the next step of an attach
  bool makes_spares = false;                                         // for clients to come; see ClientSpares
  // Asks the broker, and waits for it. Empty: there are no trace numbers.
  std::function<std::expected<TraceReservation, shm::SystemError>(std::uint32_t upstream, const TraceNeed& need)>
      reserve_trace_numbers;
  // The shard that an upstream belongs to; of a name that no upstream has, any: it refuses. Empty: there is one shard.
  std::function<std::uint32_t(std::string_view upstream)> shard_of;
  Refresher* refresher = nullptr;  // outlives the server; null: the configuration cannot be changed
  std::chrono::milliseconds expiry_interval = std::chrono::hours(6);  // between looks at what it says is expiring
  PortDesk* ports = nullptr;                // outlives the server; null: nobody gets ports here
  wrapper::WrapperDesk* wrapper = nullptr;  // outlives the server; null: nothing is shared by libtlsmux_ssl
  int broker_socket = -1;  // its end of file ends the engine; -1: there is no broker. Stays the caller's
};

// The mailboxes of one shard; they outlive the control server.
struct ShardMailboxes {
  Mailbox<ShardCommand>* commands = nullptr;
  Mailbox<ShardReply>* replies = nullptr;
};

}  // namespace tlsmux::engine::control
