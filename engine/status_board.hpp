#pragma once

// Writes what the engine is doing into the tables of the groups, where members and tools read it without asking. Only
// rows that have changed are written, a few times a second.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "engine/client_table.hpp"
#include "engine/mux/multiplexer.hpp"
#include "engine/notices.hpp"
#include "shm/group_part.hpp"

namespace tlsmux::engine {

// The tables that a group of this config needs.
shm::GroupTables group_tables(const config::Config& config, std::size_t group);

// In each group's tables, for upstreams that a refresh of the configuration adds.
inline constexpr std::uint32_t kSpareUpstreamRows = 16;

class StatusBoard {
 public:
  // One part for each group of the config, in its order. `wall_offset_s` added to a monotonic time in seconds gives
  // seconds since 1970.
  StatusBoard(const config::Config& config, std::vector<shm::GroupPart> parts, std::int64_t wall_offset_s);

  // The upstream's row in the group's table; nothing when the group may not use it.
  [[nodiscard]] std::optional<std::uint32_t> upstream_row(std::uint32_t group, std::uint32_t upstream) const;

  void set_state(shm::EngineState state);

  // By index, the groups that may use an upstream from now on. Requires free rows: see kSpareUpstreamRows.
  void set_groups(std::uint32_t upstream, const std::vector<bool>& groups);

  // Before a client is shown, and when it is gone. Requires a free row, which clients_max guarantees.
  void add_client(Client& client, std::uint64_t now_ns);
  void remove_client(const Client& client);

  // Writes what has changed, at most every kIntervalNs. Returns when it wants to be called again for what it has held
  // back; 0: nothing was.
  std::uint64_t publish(mux::Multiplexer& multiplexer, ClientTable& clients, Notices& notices, std::uint64_t now_ns);

  static constexpr std::uint64_t kIntervalNs = 100'000'000;

 private:
  struct Group {
    shm::GroupPart part;
    std::vector<std::uint32_t> upstreams;  // in the config, by row
    std::vector<bool> hidden;              // by row: the group may not use it any more
    std::vector<bool> client_rows;         // in use
  };

  void write_upstreams(mux::Multiplexer& multiplexer, Notices& notices);
  static void write_notices(shm::UpstreamRow& row, Lane lane, const Notices& notices);
  static bool is_shown(const Group& group, std::size_t row, const mux::Upstream& upstream);
  void write_sessions(Group& group, const mux::Multiplexer& multiplexer);
  void write_endpoints(Group& group, const mux::Multiplexer& multiplexer);
  void write_client(Client& client);
  [[nodiscard]] std::int64_t wall_s(std::uint64_t monotonic_ns) const {
    return static_cast<std::int64_t>(monotonic_ns / 1'000'000'000) + wall_offset_s_;
  }

  std::vector<Group> groups_;
  std::int64_t wall_offset_s_;
  std::uint64_t written_ns_ = 0;
  std::unique_ptr<shm::UpstreamRow> scratch_ = std::make_unique<shm::UpstreamRow>();  // large for a stack
};

}  // namespace tlsmux::engine
