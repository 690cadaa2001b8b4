#include "config/tls_names.hpp"

#include <algorithm>

namespace tlsmux::config {

std::vector<std::string_view> suite_names() {
  std::vector<std::string_view> names;
  for (const SuiteName& suite : kSuiteNames) names.push_back(suite.name);
  return names;
}

std::optional<TlsVersion> version_of_suite(std::string_view name) {
  const auto* found = std::ranges::find(kSuiteNames, name, &SuiteName::name);
  if (found == kSuiteNames.end()) return std::nullopt;
  return found->version;
}

}  // namespace tlsmux::config
