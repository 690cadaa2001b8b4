#include "tests/demo/host_report.hpp"

#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace tlsmux::demo {

HostTotals read_host_reports(const std::vector<std::string>& files) {
  HostTotals totals;
  for (const auto& path : files) {
    std::ifstream file(path);
    try {
      const auto report = nlohmann::json::parse(file);
      totals.handshakes += report.at("handshakes_full").get<std::uint64_t>();
      totals.handshakes += report.at("handshakes_resumed").get<std::uint64_t>();
      totals.received += report.at("received").get<std::uint64_t>();
      totals.answered += report.at("answered").get<std::uint64_t>();
    } catch (const nlohmann::json::exception& error) {
      throw std::runtime_error("the host's report " + path + ": " + error.what());
    }
  }
  return totals;
}

}  // namespace tlsmux::demo
