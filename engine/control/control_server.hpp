#pragma once

// The engine's main thread: the control socket, the shards' replies, the order to stop. Everything about clients is
// in ClientRegistry. Control sockets stay on epoll: as io_uring's registered files, their end was noticed late.

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/control/client_registry.hpp"
#include "engine/control/control_settings.hpp"
#include "engine/control/event_poll.hpp"
#include "engine/control/spare_descriptor.hpp"
#include "engine/control/throttle.hpp"
#include "engine/log/log.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::control {

class ControlServer {
 public:
  // SIGTERM is blocked in every thread of the process. The mailboxes and the log outlive this.
  ControlServer(ControlSettings settings, std::vector<ShardMailboxes> shards, Log& log);

  // Once, before run().
  std::expected<void, shm::SystemError> open();

  // Serves until SIGTERM or the broker's death, then takes no more clients, has every shard drain, and returns how many
  // requests were left when their time was over. Clients are not told: they see the engine's end, which settles all.
  std::uint32_t run();

 private:
  void wait();
  void hear_the_last();
  void on_event(EventLabel event);
  void on_broker_end();
  void on_listener();
  void on_signal();
  void on_shard(std::uint64_t shard);
  void on_no_descriptors(int error);
  void accept_again_in_time();
  void warn_of_expiry_in_time();
  void on_need(std::uint64_t shard, const NeedTraceNumbers& need);
  void start_draining(std::string_view reason);
  void start_refresh(const ClientRegistry::RefreshOrder& order);
  void finish_refresh();
  void refresh_ports(RefreshPlan& plan);
  void answer_refresh(shm::RefreshResult result);
  [[nodiscard]] int milliseconds_to_deadline() const;

  ControlSettings settings_;
  std::vector<ShardMailboxes> shards_;
  Log& log_;
  EventPoll poll_;
  ClientRegistry clients_;
  shm::UniqueFd signals_;
  SpareDescriptor spare_;
  Throttle exhausted_;
  std::optional<Lobby::Clock::time_point> accepts_again_;  // the listener is not watched until then
  struct PendingRefresh {
    ClientRegistry::RefreshOrder order;
    RefreshPlan plan;
    std::size_t shards_left = 0;  // that have not applied it yet
  };
  std::optional<PendingRefresh> refresh_;
  Lobby::Clock::time_point expiry_due_;  // when to look next at what is expiring: first at once
  bool draining_ = false;
  std::size_t shards_draining_ = 0;
  std::uint32_t requests_left_ = 0;
};

}  // namespace tlsmux::engine::control
