#include "engine/ports/predecessor.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>

#include "ports/protocol.hpp"
#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"

namespace tlsmux::engine {
namespace {

std::uint64_t monotonic_ns(std::int64_t wall_s, std::int64_t wall_offset_s) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(wall_s - wall_offset_s, 0)) * 1'000'000'000;
}

std::optional<ports::PortEntry> entry_of(const shm::PortRow& row, std::int64_t wall_offset_s) {
  const bool is_one_protocol = row.protocol == shm::kPortTcp || row.protocol == shm::kPortUdp;
  const bool is_held = row.state >= shm::PortState::leased && row.state <= shm::PortState::external;
  const bool is_remembered = row.state == shm::PortState::free && row.label.front() != '\0';
  if (row.port == 0 || !is_one_protocol || (!is_held && !is_remembered)) return std::nullopt;
  ports::PortEntry entry;
  entry.port = {.protocol = row.protocol == shm::kPortTcp ? ports::Protocol::tcp : ports::Protocol::udp,
                .number = row.port};
  entry.state = row.state;
  entry.flags = row.flags;
  // Its clients are nobody's now: they attach again under other numbers.
  entry.owner = {.pid = row.pid,
                 .uid = row.uid,
                 .client_id = 0,
                 .pidfd_inode = row.pidfd_inode,
                 .program = std::string(shm::text_of(row.program))};
  entry.label = std::string(shm::text_of(row.label));
  entry.socket_inode = row.socket_inode;
  entry.since_ns = monotonic_ns(row.since_s, wall_offset_s);
  if (row.state == shm::PortState::quarantine) {
    // Exact, unlike `until_s`, and whatever becomes of the time of day. Where it is missing: the whole delay from now on.
    entry.until_ns = row.until_ns != 0 ? row.until_ns : std::numeric_limits<std::uint64_t>::max();
  }
  return entry;
}

}  // namespace

std::vector<ports::PortEntry> read_predecessor(std::span<const std::byte> part, std::string_view group,
                                               std::int64_t wall_offset_s) {
  std::vector<ports::PortEntry> entries;
  const auto view = shm::GroupView::open(part);
  if (!view || shm::text_of(view->header().group) != group) return entries;
  const auto& rows = view->ports();
  for (std::uint32_t i = 0; i < rows.size(); ++i) {
    shm::PortRow row{};
    if (!shm::read_row(rows[i], row)) continue;
    if (auto entry = entry_of(row, wall_offset_s)) entries.push_back(std::move(*entry));
  }
  // Of a port that stands there twice, one.
  std::ranges::sort(entries, {}, &ports::PortEntry::port);
  const auto [twice, end] = std::ranges::unique(entries, {}, &ports::PortEntry::port);
  entries.erase(twice, end);
  return entries;
}

}  // namespace tlsmux::engine
