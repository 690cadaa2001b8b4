#include "ports/book/lease_table.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::ports {

using shm::LeaseState;
using shm::pack;

// Memory order: relaxed everywhere, for the reason that port_lease.hpp gives.

void LeaseTable::offer(Port port) {
  const auto protocol = index_of(port.protocol);
  const auto unused = std::ranges::find(offers_[protocol], false, &Offer::is_open);
  TMX_ASSERT(unused != offers_[protocol].end());
  ++unused->generation;
  unused->port = port.number;
  unused->is_open = true;
  ++offered_[protocol];
  // Whatever the word held counts for nothing.
  auto& word = words_[protocol][static_cast<std::size_t>(unused - offers_[protocol].begin())];
  word.store(pack({.generation = unused->generation, .port = unused->port, .state = LeaseState::offered}),
             std::memory_order_relaxed);
}

LeaseNews LeaseTable::look() {
  LeaseNews news;
  for (const auto protocol : kProtocols) {
    for (std::size_t index = 0; index < config::kPortLeasesMax; ++index) {
      if (offers_[index_of(protocol)][index].is_open) look_at(protocol, index, news);
    }
  }
  return news;
}

LeaseNews LeaseTable::take_back(Protocol protocol, std::uint32_t kept) {
  LeaseNews news;
  // From the end: the client takes from the beginning.
  for (std::size_t index = config::kPortLeasesMax; index-- > 0 && offered(protocol) > kept;) {
    if (offers_[index_of(protocol)][index].is_open) take_back_at(protocol, index, news);
  }
  return news;
}

LeaseNews LeaseTable::take_back_port(Port port) {
  LeaseNews news;
  for (std::size_t index = 0; index < config::kPortLeasesMax; ++index) {
    const auto& offer = offers_[index_of(port.protocol)][index];
    if (offer.is_open && offer.port == port.number) take_back_at(port.protocol, index, news);
  }
  return news;
}

void LeaseTable::look_at(Protocol protocol, std::size_t index, LeaseNews& news) {
  const auto& offer = offers_[index_of(protocol)][index];
  const auto seen = words_[index_of(protocol)][index].load(std::memory_order_relaxed);
  if (seen == pack({.generation = offer.generation, .port = offer.port, .state = LeaseState::offered})) return;
  close_with(protocol, index, seen, news);
}

// One swap decides: it takes the offer back, or the client was first.
void LeaseTable::take_back_at(Protocol protocol, std::size_t index, LeaseNews& news) {
  auto& offer = offers_[index_of(protocol)][index];
  auto seen = pack({.generation = offer.generation, .port = offer.port, .state = LeaseState::offered});
  const auto empty = pack({.generation = offer.generation, .port = 0, .state = LeaseState::empty});
  if (!words_[index_of(protocol)][index].compare_exchange_strong(seen, empty, std::memory_order_relaxed)) {
    close_with(protocol, index, seen, news);
    return;
  }
  offer.is_open = false;
  --offered_[index_of(protocol)];
  news.returned.push_back({.protocol = protocol, .number = offer.port});
}

void LeaseTable::close_with(Protocol protocol, std::size_t index, std::uint64_t seen, LeaseNews& news) {
  auto& offer = offers_[index_of(protocol)][index];
  const auto taken = pack({.generation = offer.generation, .port = offer.port, .state = LeaseState::taken});
  if (seen != taken) news.is_rule_broken = true;
  offer.is_open = false;
  --offered_[index_of(protocol)];
  news.taken.push_back({.protocol = protocol, .number = offer.port});
}

}  // namespace tlsmux::ports
