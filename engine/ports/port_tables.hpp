#pragma once

// Writes the four tables of ports in a group's part: rules, ports, denials, summary. Only rows that have changed.

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "config/config.hpp"
#include "config/identity.hpp"
#include "ports/book/port_book.hpp"
#include "ports/guard.hpp"
#include "shm/group_part.hpp"

namespace tlsmux::engine {

// The only writer of these tables; one thread.
class PortTables {
 public:
  // The part's memory outlives it. `wall_offset_s` added to a monotonic time in seconds gives seconds since 1970.
  PortTables(const shm::GroupPart& part, std::int64_t wall_offset_s) : part_(part), wall_offset_s_(wall_offset_s) {}

  // Requires that check_port_rows() had nothing against the settings.
  void write_rules(const config::GroupSettings& group, const config::Membership& membership);

  // Whether there is a row for one more port. Entries of ports beyond that are not shown.
  [[nodiscard]] bool has_room() const { return rows_.size() < part_.ports().size(); }
  // Nothing is said of any port.
  [[nodiscard]] bool is_empty() const { return rows_.empty(); }
  void write_port(const ports::PortEntry& entry, std::string_view service);
  // Of a port that is free.
  void write_label(ports::Port port, std::string_view label, std::string_view service);
  void clear_port(ports::Port port);

  void add_denial(const ports::GuardEvent& event);
  [[nodiscard]] std::uint64_t denials() const { return denials_; }

  void write_summary(const shm::PortSummaryRow& row);

 private:
  // Null: there is no room.
  shm::PortRow* row_of(ports::Port port);
  [[nodiscard]] std::int64_t wall_s(std::uint64_t monotonic_ns) const {
    return static_cast<std::int64_t>(monotonic_ns / 1'000'000'000) + wall_offset_s_;
  }

  shm::GroupPart part_;
  std::int64_t wall_offset_s_;
  std::map<ports::Port, std::uint32_t> rows_;  // of ports that are not free, or that a label remembers
  std::vector<std::uint32_t> given_back_;      // row numbers below the highest that was ever used
  std::uint32_t used_ = 0;                     // no row from here on has ever been used
  std::uint64_t denials_ = 0;
};

}  // namespace tlsmux::engine
