#pragma once

// The group's part as its tables: how large it is, how it is laid out, how it is read. The engine formats and writes;
// members and tools read what may come from another version, and check it.

#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "shm/layout.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::shm {

struct GroupTables {
  std::uint32_t clients = 0;
  std::uint32_t upstreams = 0;
  std::uint32_t sessions = 0;
  std::uint32_t endpoints = 0;
  std::uint32_t port_rules = 0;
  std::uint32_t ports = 0;
  std::uint32_t port_denials = 0;
  std::uint32_t port_summaries = 0;  // 0 or 1

  // A whole number of pages.
  [[nodiscard]] std::uint64_t total_bytes() const;
};

struct GroupIdentity {
  std::string_view group;
  BootId boot_id{};
  std::uint32_t engine_pid = 0;
  std::uint32_t shard_count = 1;
  std::int64_t engine_started_s = 0;
  std::uint32_t restarts = 0;
};

// The engine's access. The memory outlives it.
class GroupPart {
 public:
  GroupPart() = default;
  // Requires memory.size() == tables.total_bytes(), all zero. Publishes the version last.
  static GroupPart format(std::span<std::byte> memory, const GroupTables& tables, const GroupIdentity& identity);

  [[nodiscard]] GroupHeader& header() const { return *header_; }
  [[nodiscard]] std::span<ClientRow> clients() const { return clients_; }
  [[nodiscard]] std::span<UpstreamRow> upstreams() const { return upstreams_; }
  [[nodiscard]] std::span<SessionRow> sessions() const { return sessions_; }
  [[nodiscard]] std::span<EndpointRow> endpoints() const { return endpoints_; }
  [[nodiscard]] std::span<PortConfigurationRow> port_rules() const { return port_rules_; }
  [[nodiscard]] std::span<PortRow> ports() const { return ports_; }
  [[nodiscard]] std::span<PortDenialRow> port_denials() const { return port_denials_; }
  [[nodiscard]] std::span<PortSummaryRow> port_summaries() const { return port_summaries_; }

 private:
  GroupHeader* header_ = nullptr;
  std::span<ClientRow> clients_;
  std::span<UpstreamRow> upstreams_;
  std::span<SessionRow> sessions_;
  std::span<EndpointRow> endpoints_;
  std::span<PortConfigurationRow> port_rules_;
  std::span<PortRow> ports_;
  std::span<PortDenialRow> port_denials_;
  std::span<PortSummaryRow> port_summaries_;
};

// A table that may have longer rows than this version knows.
template <typename Row>
class RowView {
 public:
  RowView() = default;
  RowView(const std::byte* start, std::uint32_t row_bytes, std::uint32_t count)
      : start_(start), row_bytes_(row_bytes), count_(count) {}
  [[nodiscard]] std::uint32_t size() const { return count_; }
  // Requires row < size(). Read it with read_row().
  const Row& operator[](std::uint32_t row) const {
    return *reinterpret_cast<const Row*>(start_ + std::size_t{row} * row_bytes_);
  }

 private:
  const std::byte* start_ = nullptr;
  std::uint32_t row_bytes_ = 0;
  std::uint32_t count_ = 0;
};

// A reader's access. The memory outlives it.
class GroupView {
 public:
  // Checks header and tables against the mapped size. EAGAIN: not ready yet; EPROTO: another version, or not a group's
  // part at all.
  static std::expected<GroupView, SystemError> open(std::span<const std::byte> memory);

  [[nodiscard]] const GroupHeader& header() const { return *header_; }
  [[nodiscard]] const RowView<ClientRow>& clients() const { return clients_; }
  [[nodiscard]] const RowView<UpstreamRow>& upstreams() const { return upstreams_; }
  [[nodiscard]] const RowView<SessionRow>& sessions() const { return sessions_; }
  [[nodiscard]] const RowView<EndpointRow>& endpoints() const { return endpoints_; }
  [[nodiscard]] const RowView<PortConfigurationRow>& port_rules() const { return port_rules_; }
  [[nodiscard]] const RowView<PortRow>& ports() const { return ports_; }
  [[nodiscard]] const RowView<PortDenialRow>& port_denials() const { return port_denials_; }
  [[nodiscard]] const RowView<PortSummaryRow>& port_summaries() const { return port_summaries_; }

 private:
  const GroupHeader* header_ = nullptr;
  RowView<ClientRow> clients_;
  RowView<UpstreamRow> upstreams_;
  RowView<SessionRow> sessions_;
  RowView<EndpointRow> endpoints_;
  RowView<PortConfigurationRow> port_rules_;
  RowView<PortRow> ports_;
  RowView<PortDenialRow> port_denials_;
  RowView<PortSummaryRow> port_summaries_;
};

}  // namespace tlsmux::shm
