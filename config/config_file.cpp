#include "config/config_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <iterator>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "config/check_files.hpp"
#include "config/config_check.hpp"
#include "config/config_json.hpp"
#include "config/limits.hpp"

namespace tlsmux::config {
namespace {

ConfigErrors cannot_read(int error) {
  return {{.pointer = "", .message = "cannot be read: " + std::generic_category().message(error)}};
}

std::expected<std::string, ConfigErrors> read_text(const std::string& path) {
  const auto close = [](std::FILE* file) { (void)std::fclose(file); };  // read only: nothing can be lost
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (!file) return std::unexpected(cannot_read(errno));
  std::string text(kConfigFileBytesMax + 1, '\0');
  const std::size_t bytes = std::fread(text.data(), 1, text.size(), file.get());
  if (std::ferror(file.get()) != 0) return std::unexpected(cannot_read(errno));
  if (bytes > kConfigFileBytesMax) {
    const std::string bytes_max = std::to_string(kConfigFileBytesMax);
    return std::unexpected(ConfigErrors{
        {.pointer = "", .message = "is larger than " + bytes_max + " bytes; is this a configuration file?"}});
  }
  text.resize(bytes);
  return text;
}

// With the errors of parsing and checking.
std::expected<PartialConfig, ConfigErrors> examine(const std::string& path) {
  const auto text = read_text(path);
  if (!text) return std::unexpected(text.error());
  auto partial = parse_partially(*text);
  if (partial) std::ranges::move(check(partial->config, partial->errors), std::back_inserter(partial->errors));
  return partial;
}

}  // namespace

std::expected<Config, ConfigErrors> load(const std::string& path) {
  auto partial = examine(path);
  if (!partial) return std::unexpected(std::move(partial.error()));
  if (!partial->errors.empty()) return std::unexpected(std::move(partial->errors));
  return std::move(partial->config);
}

ConfigErrors check_files(const Config& config) { return check_files(config, {}); }

ConfigErrors find_errors(const std::string& path) {
  auto partial = examine(path);
  if (!partial) return std::move(partial.error());
  std::ranges::move(check_files(partial->config, partial->errors), std::back_inserter(partial->errors));
  return std::move(partial->errors);
}

}  // namespace tlsmux::config
