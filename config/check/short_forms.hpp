#pragma once

// Settings that may be written as one text instead of an object: an endpoint as "host:port", a framing by its
// name.

#include <concepts>
#include <string_view>

#include "config/check/value_rules.hpp"
#include "config/config.hpp"

namespace tlsmux::config {

// Sets what the text stands for: of an endpoint, host and port; of a framing, all. When it returns a problem, it changed
// nothing.
Problem read_short_form(std::string_view text, EndpointSettings& endpoint);
Problem read_short_form(std::string_view text, FramingSettings& framing);

// What to write, for an error text.
std::string_view expected_short_form(const EndpointSettings& endpoint);
std::string_view expected_short_form(const FramingSettings& framing);

template <class Settings>
concept HasShortForm = requires(std::string_view text, Settings& settings) {
  { read_short_form(text, settings) } -> std::same_as<Problem>;
  { expected_short_form(settings) } -> std::same_as<std::string_view>;
};

}  // namespace tlsmux::config
