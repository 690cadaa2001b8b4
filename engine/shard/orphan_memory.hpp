#pragma once

// The requests of orphans that a subscriber has dealt with, for as long as an answer to them may still come late: who
// gets that must know what had been asked. The first to go when room is needed; what goes is wiped. No system call, no
// clock. One thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "engine/tls/secret_bytes.hpp"

namespace tlsmux::engine {

class OrphanMemory {
 public:
  // `id` was not kept before.
  void keep(std::uint64_t id, std::uint32_t group, tls::SecretBytes request, std::uint64_t until_ns);
  // Empty when it is gone.
  tls::SecretBytes take(std::uint64_t id);

  [[nodiscard]] std::size_t count(std::uint32_t group) const;
  // The one whose time is over first. Requires that there is one.
  void drop_first(std::uint32_t group);
  void drop_group(std::uint32_t group);

  // Drops those whose time is over.
  void tick(std::uint64_t now_ns);
  // 0: never.
  [[nodiscard]] std::uint64_t next_due_ns() const;

 private:
  struct Kept {
    std::uint32_t group = 0;
    std::uint64_t until_ns = 0;
    tls::SecretBytes request;
  };

  std::map<std::uint64_t, Kept> kept_;
  std::map<std::uint32_t, std::set<std::pair<std::uint64_t, std::uint64_t>>> by_end_;  // of each group: end, id
};

}  // namespace tlsmux::engine
