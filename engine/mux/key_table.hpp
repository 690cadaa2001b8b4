#pragma once

// Correlation key to request, for one upstream: open addressing with linear probing, twice as many places as keys can
// ever be in flight, no allocation after construction. The keys themselves stay in the requests.

#include <bit>
#include <vector>

#include "engine/mux/request_table.hpp"

namespace tlsmux::engine::mux {

class KeyTable {
 public:
  // `table` outlives it.
  KeyTable(RequestTable& table, std::size_t keys_max, std::uint64_t seed)
      : table_(&table), hash_{.seed = seed}, places_(std::bit_ceil(2 * keys_max), kNone) {}

  // kNone when there is none.
  [[nodiscard]] RequestIndex find(const message::CorrelationKey& key) const { return places_[probe(key)]; }

  // False when the key is there already.
  bool insert(RequestIndex index) {
    auto& place = places_[probe((*table_)[index].key)];
    if (place != kNone) return false;
    place = index;
    return true;
  }

  // Nothing if another request holds the key. What follows in the same run moves up, so that no probe is cut short
  // (D. Knuth, The Art of Computer Programming 3, 6.4, algorithm R).
  void remove(RequestIndex index) {
    auto hole = probe((*table_)[index].key);
    if (places_[hole] != index) return;
    for (auto next = step(hole); places_[next] != kNone; next = step(next)) {
      const auto home = home_of((*table_)[places_[next]].key);
      const auto mask = places_.size() - 1;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      places_[hole] = places_[next];
      hole = next;
    }
    places_[hole] = kNone;
  }

 private:
  [[nodiscard]] std::size_t home_of(const message::CorrelationKey& key) const {
    return hash_(key) & (places_.size() - 1);
  }
  [[nodiscard]] std::size_t step(std::size_t place) const { return (place + 1) & (places_.size() - 1); }
  // The place that holds the key, else the empty one where it would go.
  [[nodiscard]] std::size_t probe(const message::CorrelationKey& key) const {
    auto place = home_of(key);
    while (places_[place] != kNone && (*table_)[places_[place]].key != key) place = step(place);
    return place;
  }

  RequestTable* table_;
  message::CorrelationKeyHash hash_;
  std::vector<RequestIndex> places_;
};

}  // namespace tlsmux::engine::mux
