#include "config/config_json.hpp"

#include <utility>

#include "config/json/json_document.hpp"
#include "config/json/json_object_reader.hpp"

namespace tlsmux::config {

std::expected<PartialConfig, ConfigErrors> parse_partially(std::string_view text) {
  auto document = parse_json(text);
  if (!document) return std::unexpected(std::move(document.error()));
  PartialConfig partial{.config = {}, .errors = std::move(document->errors)};
  read_settings(document->root, "", partial.errors, partial.config);
  return partial;
}

std::expected<Config, ConfigErrors> parse(std::string_view text) {
  auto partial = parse_partially(text);
  if (!partial) return std::unexpected(std::move(partial.error()));
  if (!partial->errors.empty()) return std::unexpected(std::move(partial->errors));
  return std::move(partial->config);
}

}  // namespace tlsmux::config
