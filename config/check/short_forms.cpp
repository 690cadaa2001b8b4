#include "config/check/short_forms.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <system_error>

#include "config/framing_presets.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::string_view kEndpointForm = R"("host:port", "address:port" or "[IPv6 address]:port")";

// 0 if the text is no port.
std::uint16_t read_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() ? port : std::uint16_t{0};
}

}  // namespace

Problem read_short_form(std::string_view text, EndpointSettings& endpoint) {
  const auto must_be = [text](std::string_view why) {
    return "must be " + std::string(kEndpointForm) + ", is " + in_quotes(text) + std::string(why);
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return must_be(", which has no port");
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (!host.contains(':')) return must_be(": brackets are for IPv6 addresses");
  } else if (host.contains(':')) {
    return must_be(": an IPv6 address stands in brackets, as in \"[::1]:443\"");
  }
  if (text_problem(TextKind::host, Presence::required, host)) {
    return must_be(", where " + in_quotes(host) + " is no " + std::string(expected_text(TextKind::host).substr(2)));
  }
  const std::uint16_t port = read_port(text.substr(colon + 1));
  if (port == 0) return must_be(", where the port is not between 1 and 65535");
  endpoint = {.host = std::string(host), .port = port};
  return std::nullopt;
}

Problem read_short_form(std::string_view text, FramingSettings& framing) {
  const auto preset = std::ranges::find(framing_presets(), text, &FramingPreset::name);
  if (preset == framing_presets().end()) {
    return "unknown framing " + in_quotes(text) + "; " + suggestion(text, framing_preset_names());
  }
  framing = preset->settings;
  return std::nullopt;
}

std::string_view expected_short_form(const EndpointSettings& /*endpoint*/) { return kEndpointForm; }

std::string_view expected_short_form(const FramingSettings& /*framing*/) { return "the name of a framing"; }

}  // namespace tlsmux::config
