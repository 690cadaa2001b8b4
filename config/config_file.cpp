#include "config/config_file.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "config/check/check_files.hpp"

namespace tlsmux::config {

std::expected<Config, ConfigErrors> load(const std::string& path) {
  const auto bundle = read_bundle(path);
  if (!bundle) return std::unexpected(bundle.error());
  return load_bundle(*bundle);
}

ConfigErrors check_files(const Config& config) { return check_files(config, {}); }

ConfigErrors find_errors(const ConfigBundle& bundle) {
  auto partial = examine_bundle(bundle);
  if (!partial) return std::move(partial.error());
  std::ranges::move(check_files(partial->config, partial->errors), std::back_inserter(partial->errors));
  return std::move(partial->errors);
}

ConfigErrors find_errors(const std::string& path) {
  const auto bundle = read_bundle(path);
  return bundle ? find_errors(*bundle) : bundle.error();
}

}  // namespace tlsmux::config
