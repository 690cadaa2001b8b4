#pragma once

// The world of the desk for ports as it is: the kernel, and the broker.

#include <functional>
#include <optional>
#include <unordered_map>

#include "engine/broker/broker_client.hpp"
#include "engine/ports/port_world.hpp"

namespace tlsmux::engine {

// The control thread's.
class SystemPortWorld final : public PortWorld {
 public:
  // Where the broker's configuration has a group of the engine's index.
  using PlaceOfGroup = std::function<broker::ConfigPlace(std::uint32_t group)>;

  // The broker's client outlives it.
  static std::expected<SystemPortWorld, shm::SystemError> open(broker::BrokerClient& broker, PlaceOfGroup place_of);

  std::uint64_t now_ns() override;
  std::expected<std::vector<ports::SocketFact>, shm::SystemError> sockets(ports::Protocol protocol,
                                                                          const ports::PortSet& ports) override;
  std::expected<std::vector<ports::SocketOwner>, shm::SystemError> find_owners(
      std::span<const std::uint64_t> inodes) override;
  std::expected<PortProcess, shm::SystemError> identify(std::uint32_t pid) override;
  bool is_alive(const ports::PortOwner& owner) override;
  bool watch(std::uint64_t number, const ports::PortOwner& owner, shm::UniqueFd pidfd) override;
  void unwatch(std::uint64_t number) override { watched_.erase(number); }
  std::vector<std::uint64_t> take_ended() override;
  std::expected<broker::PortLevels, shm::SystemError> enforcement(std::uint32_t group) override;
  std::expected<void, shm::SystemError> admit(std::uint32_t group, std::uint32_t pid) override;
  void dismiss(std::uint32_t group, std::uint32_t pid) override;
  bool take_enforcement_change() override;
  std::expected<void, shm::SystemError> open_guard_events() override;
  GuardNews take_guard_news() override;
  [[nodiscard]] int descriptor() const override { return poll_.get(); }

 private:
  SystemPortWorld(broker::BrokerClient& broker, PlaceOfGroup place_of, ports::SocketDiagnosis diagnosis,
                  shm::UniqueFd poll)
      : broker_(&broker), place_of_(std::move(place_of)), diagnosis_(std::move(diagnosis)), poll_(std::move(poll)) {}

  broker::BrokerClient* broker_;
  PlaceOfGroup place_of_;
  ports::SocketDiagnosis diagnosis_;
  shm::UniqueFd poll_;  // an epoll instance with all that is watched
  std::unordered_map<std::uint64_t, shm::UniqueFd> watched_;
  std::optional<ports::GuardEvents> guard_events_;
  shm::UniqueFd enforcement_changes_;  // an eventfd of the broker's; empty: it has none
};

}  // namespace tlsmux::engine
