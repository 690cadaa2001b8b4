#pragma once

// Text to JSON values, strictly: no duplicate keys, no deep nesting, no NUL bytes. Comments (// and /* */)
// are allowed.

#include <expected>
#include <nlohmann/json.hpp>
#include <string_view>

#include "config/config_error.hpp"

namespace tlsmux::config {

struct JsonDocument {
  nlohmann::json root;
  ConfigErrors errors;  // duplicate keys; of such a key the last value is in the document
};

// Fails where the text is not JSON: one error then says where, after any duplicate keys before it.
std::expected<JsonDocument, ConfigErrors> parse_json(std::string_view text);

}  // namespace tlsmux::config
