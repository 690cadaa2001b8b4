#pragma once

// The text of a configuration file to settings. README.md lists the keys; // and /* */ comments are allowed.

#include <expected>
#include <string_view>

#include "config/config.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

struct PartialConfig {
  Config config;        // a field that has an error is at its default
  ConfigErrors errors;  // none: the configuration is complete
};

// Every error of a single value: wrong types, ranges and words, unknown, missing and duplicate keys. Nothing
// here compares settings with each other; config_check does. Blocks on nothing and throws nothing but
// std::bad_alloc.
std::expected<Config, ConfigErrors> parse(std::string_view text);

// The same for those who go on checking in spite of errors. Fails only where the text is not JSON.
std::expected<PartialConfig, ConfigErrors> parse_partially(std::string_view text);

}  // namespace tlsmux::config
