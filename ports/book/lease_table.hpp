#pragma once

// The engine's side of the ports on lease to one client: what was offered in which word of the client's part
// (shm/port_lease.hpp). What was offered is kept here, in private memory; of a word only two values are believed, the
// offer and the same one taken.

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "config/limits.hpp"
#include "ports/protocol.hpp"
#include "shm/layout.hpp"
#include "shm/port_lease.hpp"

namespace tlsmux::ports {

// What has become of offers; each port once.
struct LeaseNews {
  std::vector<Port> taken;     // the client's from now on
  std::vector<Port> returned;  // not taken, and cannot be any more
  // A word held something else: the client is to be detached. Its port counts as taken.
  bool is_rule_broken = false;
};

// One thread. No call blocks, however the client writes into its words.
class LeaseTable {
 public:
  // The words outlive it.
  explicit LeaseTable(shm::PortLeases& words) : words_{words.tcp, words.udp} {}

  // Offers that were neither seen taken nor taken back.
  [[nodiscard]] std::uint32_t offered(Protocol protocol) const { return offered_[index_of(protocol)]; }
  [[nodiscard]] bool has_room(Protocol protocol) const { return offered(protocol) < config::kPortLeasesMax; }
  // Requires room.
  void offer(Port port);

  // Sees what was taken.
  LeaseNews look();
  // Takes back what can be taken back, but for `kept` offers.
  LeaseNews take_back(Protocol protocol, std::uint32_t kept = 0);
  // The same for one port. No news: it is not on offer here.
  LeaseNews take_back_port(Port port);

 private:
  struct Offer {
    std::uint32_t generation = 0;  // of the last offer in this word
    std::uint16_t port = 0;
    bool is_open = false;
  };
  using Words = std::span<std::atomic<std::uint64_t>, config::kPortLeasesMax>;
  using Offers = std::array<Offer, config::kPortLeasesMax>;

  void look_at(Protocol protocol, std::size_t index, LeaseNews& news);
  void take_back_at(Protocol protocol, std::size_t index, LeaseNews& news);
  void close_with(Protocol protocol, std::size_t index, std::uint64_t seen, LeaseNews& news);

  std::array<Words, 2> words_;
  std::array<Offers, 2> offers_{};
  std::array<std::uint32_t, 2> offered_{};
};

}  // namespace tlsmux::ports
