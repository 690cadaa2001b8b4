#pragma once

// Writes what one shard is doing into the tables of the groups, where members and tools read it without asking. Only
// rows that have changed are written, a few times a second.
//
// Each row has one writer. A row for an upstream is at the same place for all shards, and its owner writes it. Of the
// tables of clients, sessions and endpoints each shard has a part of its own, one behind the other; a client has a row
// with each shard that serves it. Of the header, any shard advances the state, and the first writes the heartbeat.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "engine/engine_vitals.hpp"
#include "engine/mux/multiplexer.hpp"
#include "engine/shard/client_table.hpp"
#include "engine/shard/notices.hpp"
#include "engine/shard/shard_of.hpp"
#include "engine/streams/streams.hpp"
#include "shm/group_part.hpp"

namespace tlsmux::engine {

// The tables that a group of this config needs, with the parts of all shards.
shm::GroupTables group_tables(const config::Config& config, std::size_t group);

// In each group's tables, for upstreams that a refresh of the configuration adds.
inline constexpr std::uint32_t kSpareUpstreamRows = 16;
// And for those that the engine makes by itself.
std::uint32_t spare_upstream_rows(const config::Config& config);

class StatusBoard {
 public:
  // What it shares with the boards of the other shards.
  struct Share {
    std::uint32_t shard = 0;
    std::shared_ptr<EngineVitals> vitals = std::make_shared<EngineVitals>(1);
  };

  // One part for each group of the config, in its order. `wall_offset_s` added to a monotonic time in seconds gives
  // seconds since 1970.
  StatusBoard(const config::Config& config, std::span<const shm::GroupPart> parts, std::int64_t wall_offset_s,
              Share share);
  // Of an engine with one shard.
  StatusBoard(const config::Config& config, std::span<const shm::GroupPart> parts, std::int64_t wall_offset_s)
      : StatusBoard(config, parts, wall_offset_s, Share{}) {}

  // The upstream's row in the group's table; nothing when the group may not use it.
  [[nodiscard]] std::optional<std::uint32_t> upstream_row(std::uint32_t group, std::uint32_t upstream) const;

  // Of this shard. The tables show that of the one that is least far.
  void set_state(shm::EngineState state);

  // By index, the groups that may use an upstream from now on. Requires free rows: see kSpareUpstreamRows.
  void set_groups(std::uint32_t upstream, const std::vector<bool>& groups);

  // One more group, at the next index of this config.
  void add_group(const config::Config& config, ApplyConfig::Group group);
  // Its tables say that the engine has stopped, and are not written any more. Its clients may come and go still.
  void remove_group(std::uint32_t group);

  // Before a client is shown, and when it is gone. Requires a free row, which clients_max guarantees.
  void add_client(Client& client, std::uint64_t now_ns);
  void remove_client(const Client& client);

  // Writes what has changed, at most every kIntervalNs. Returns when it wants to be called again for what it has held
  // back; 0: nothing was.
  std::uint64_t publish(mux::Multiplexer& multiplexer, ClientTable& clients, Notices& notices,
                        streams::Streams& streams, std::uint64_t now_ns);

  // Writes at once when an upstream has another last error. Call before the outcomes that it explains are published.
  void publish_errors(mux::Multiplexer& multiplexer, Notices& notices, streams::Streams& streams);

  static constexpr std::uint64_t kIntervalNs = 100'000'000;

 private:
  struct Group {
    shm::GroupPart part;
    std::shared_ptr<const shm::Mapping> memory{};  // of a group that was added; else the engine's start keeps it
    bool is_removed = false;
    std::vector<std::uint32_t> upstreams{};  // in the config, by row
    std::vector<bool> hidden{};              // by row: the group may not use it any more
    std::vector<bool> client_rows{};         // in use
    // This shard's own rows.
    std::span<shm::ClientRow> clients{};
    std::span<shm::SessionRow> sessions{};
    std::span<shm::EndpointRow> endpoints{};
    std::uint32_t first_endpoint = 0;  // row number of the first of these
  };

  void add(const config::Config& config, Group group);
  void show_state(const Group& group, shm::EngineState state) const;
  [[nodiscard]] bool is_own(std::uint32_t upstream) const { return shard_of(upstream, shards_) == share_.shard; }
  void write_upstreams(mux::Multiplexer& multiplexer, Notices& notices, streams::Streams& streams);
  static void write_notices(shm::UpstreamRow& row, Lane lane, const Notices& notices);
  static bool is_shown(const Group& group, std::size_t row, const mux::Upstream& upstream);
  void write_sessions(const Group& group, const mux::Multiplexer& multiplexer) const;
  void write_endpoints(const Group& group, const mux::Multiplexer& multiplexer) const;
  void write_client(Client& client);
  [[nodiscard]] std::int64_t wall_s(std::uint64_t monotonic_ns) const {
    return static_cast<std::int64_t>(monotonic_ns / 1'000'000'000) + wall_offset_s_;
  }

  Share share_;
  std::uint32_t shards_;
  std::vector<Group> groups_;
  std::int64_t wall_offset_s_;
  std::uint64_t written_ns_ = 0;
  std::uint64_t errors_shown_ns_ = 0;  // up to then
  std::vector<bool> changed_;          // while rows are written: the upstreams whose rows must be
  std::unique_ptr<shm::UpstreamRow> scratch_ = std::make_unique<shm::UpstreamRow>();  // large for a stack
};

}  // namespace tlsmux::engine
