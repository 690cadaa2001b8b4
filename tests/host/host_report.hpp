#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/host/report.hpp"

namespace tlsmux::host {

// A report of tlsmux-host, read. Names are those of the report; one that it does not have throws
// std::runtime_error, so that a misspelt one is not taken for zero.
class HostReport {
 public:
  // `json` is what the file held.
  explicit HostReport(const std::string& json);
  HostReport(HostReport&&) noexcept;
  HostReport& operator=(HostReport&&) noexcept;
  ~HostReport();

  [[nodiscard]] std::uint64_t count(std::string_view name) const;
  // Such as counts("messages_by_type").
  [[nodiscard]] CountByName counts(std::string_view name) const;
  // 0 when none of that name was counted.
  [[nodiscard]] std::uint64_t count_of(std::string_view counts_name, std::string_view name) const;
  // In the order in which they were opened.
  [[nodiscard]] std::vector<ConnectionEntry> connections() const;

 private:
  struct Content;
  std::unique_ptr<Content> content_;
};

}  // namespace tlsmux::host
