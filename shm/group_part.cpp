#include "shm/group_part.hpp"

#include <memory>
#include <utility>

#include "shm/assert.hpp"
#include "shm/control_protocol.hpp"
#include "shm/geometry.hpp"

namespace tlsmux::shm {
namespace {

struct Offsets {
  std::uint64_t clients = 0;
  std::uint64_t upstreams = 0;
  std::uint64_t sessions = 0;
  std::uint64_t endpoints = 0;
  std::uint64_t port_rules = 0;
  std::uint64_t ports = 0;
  std::uint64_t port_denials = 0;
  std::uint64_t port_summaries = 0;
  std::uint64_t end = 0;
};

Offsets offsets_of(const GroupTables& tables) {
  std::uint64_t end = sizeof(GroupHeader);
  const auto place = [&end](std::uint32_t rows, std::size_t row_bytes) {
    return std::exchange(end, end + std::uint64_t{rows} * row_bytes);
  };
  Offsets offsets;
  offsets.clients = place(tables.clients, sizeof(ClientRow));
  offsets.upstreams = place(tables.upstreams, sizeof(UpstreamRow));
  offsets.sessions = place(tables.sessions, sizeof(SessionRow));
  offsets.endpoints = place(tables.endpoints, sizeof(EndpointRow));
  offsets.port_rules = place(tables.port_rules, sizeof(PortConfigurationRow));
  offsets.ports = place(tables.ports, sizeof(PortRow));
  offsets.port_denials = place(tables.port_denials, sizeof(PortDenialRow));
  offsets.port_summaries = place(tables.port_summaries, sizeof(PortSummaryRow));
  offsets.end = round_up(end, kPageBytes);
  return offsets;
}

template <typename Row>
std::span<Row> make_rows(std::byte* start, std::uint32_t count) {
  auto* rows = reinterpret_cast<Row*>(start);
  std::uninitialized_value_construct_n(rows, count);
  return {rows, count};
}

template <typename Row>
Section section(SectionKind kind, std::uint64_t offset, std::uint32_t count) {
  return {.kind = kind, .row_bytes = sizeof(Row), .offset = offset, .row_count = count, .reserved = 0};
}

SystemError not_readable(std::string_view why) { return {.code = EPROTO, .message = std::string(why)}; }

// Empty where there is no such section; an error where there is one that lies outside the memory.
template <typename Row>
std::expected<RowView<Row>, SystemError> view_of(std::span<const std::byte> memory, SectionKind kind) {
  const auto& header = *reinterpret_cast<const GroupHeader*>(memory.data());
  for (const auto& candidate : header.sections) {
    if (candidate.kind != kind) continue;
    const bool rows_fit = candidate.row_bytes >= sizeof(Row) && candidate.row_bytes % alignof(Row) == 0 &&
                          candidate.offset % alignof(Row) == 0 && candidate.offset <= memory.size() &&
                          std::uint64_t{candidate.row_bytes} * candidate.row_count <= memory.size() - candidate.offset;
    if (!rows_fit) return std::unexpected(not_readable("a table of the group's part lies outside it"));
    return RowView<Row>(memory.data() + candidate.offset, candidate.row_bytes, candidate.row_count);
  }
  return RowView<Row>();
}

}  // namespace

std::uint64_t GroupTables::total_bytes() const { return offsets_of(*this).end; }

GroupPart GroupPart::format(std::span<std::byte> memory, const GroupTables& tables, const GroupIdentity& identity) {
  const auto offsets = offsets_of(tables);
  TMX_ASSERT(memory.size() == offsets.end);
  GroupPart part;
  part.header_ = std::construct_at(reinterpret_cast<GroupHeader*>(memory.data()));
  part.clients_ = make_rows<ClientRow>(memory.data() + offsets.clients, tables.clients);
  part.upstreams_ = make_rows<UpstreamRow>(memory.data() + offsets.upstreams, tables.upstreams);
  part.sessions_ = make_rows<SessionRow>(memory.data() + offsets.sessions, tables.sessions);
  part.endpoints_ = make_rows<EndpointRow>(memory.data() + offsets.endpoints, tables.endpoints);
  part.port_rules_ = make_rows<PortConfigurationRow>(memory.data() + offsets.port_rules, tables.port_rules);
  part.ports_ = make_rows<PortRow>(memory.data() + offsets.ports, tables.ports);
  part.port_denials_ = make_rows<PortDenialRow>(memory.data() + offsets.port_denials, tables.port_denials);
  part.port_summaries_ = make_rows<PortSummaryRow>(memory.data() + offsets.port_summaries, tables.port_summaries);

  auto& header = *part.header_;
  header.magic = kGroupMagic;
  header.header_bytes = sizeof(GroupHeader);
  header.total_bytes = memory.size();
  header.boot_id = identity.boot_id;
  header.engine_pid = identity.engine_pid;
  header.shard_count = identity.shard_count;
  header.engine_started_s = identity.engine_started_s;
  header.restarts = identity.restarts;
  set_text(header.group, identity.group);
  header.sections = {};
  header.sections[0] = section<ClientRow>(SectionKind::clients, offsets.clients, tables.clients);
  header.sections[1] = section<UpstreamRow>(SectionKind::upstreams, offsets.upstreams, tables.upstreams);
  header.sections[2] = section<SessionRow>(SectionKind::sessions, offsets.sessions, tables.sessions);
  header.sections[3] = section<EndpointRow>(SectionKind::endpoints, offsets.endpoints, tables.endpoints);
  header.sections[4] =
      section<PortConfigurationRow>(SectionKind::port_configuration, offsets.port_rules, tables.port_rules);
  header.sections[5] = section<PortRow>(SectionKind::port_allocation, offsets.ports, tables.ports);
  header.sections[6] = section<PortDenialRow>(SectionKind::port_denials, offsets.port_denials, tables.port_denials);
  header.sections[7] =
      section<PortSummaryRow>(SectionKind::port_summary, offsets.port_summaries, tables.port_summaries);
  header.section_count = 8;
  header.version.store(kLayoutVersion, std::memory_order_release);
  return part;
}

std::expected<GroupView, SystemError> GroupView::open(std::span<const std::byte> memory) {
  if (memory.size() < sizeof(GroupHeader)) return std::unexpected(not_readable("the group's part is too small"));
  GroupView view;
  view.header_ = reinterpret_cast<const GroupHeader*>(memory.data());
  const auto version = view.header_->version.load(std::memory_order_acquire);
  if (version == 0) return std::unexpected(SystemError{.code = EAGAIN, .message = "the engine is still starting"});
  if (view.header_->magic != kGroupMagic || version >> 16 != kLayoutMajor) {
    return std::unexpected(not_readable("the group's part is of another version of tlsmux"));
  }
  if (view.header_->total_bytes != memory.size()) {
    return std::unexpected(not_readable("the group's part is not as large as it says"));
  }
  std::expected<void, SystemError> outcome;
  const auto look = [&]<typename Row>(RowView<Row>& rows, SectionKind kind) {
    auto found = view_of<Row>(memory, kind);
    if (found) {
      rows = *found;
    } else {
      outcome = std::unexpected(found.error());
    }
  };
  look(view.clients_, SectionKind::clients);
  look(view.upstreams_, SectionKind::upstreams);
  look(view.sessions_, SectionKind::sessions);
  look(view.endpoints_, SectionKind::endpoints);
  look(view.port_rules_, SectionKind::port_configuration);
  look(view.ports_, SectionKind::port_allocation);
  look(view.port_denials_, SectionKind::port_denials);
  look(view.port_summaries_, SectionKind::port_summary);
  if (!outcome) return std::unexpected(outcome.error());
  return view;
}

}  // namespace tlsmux::shm
