#include "ports/book/port_set.hpp"

#include <charconv>
#include <optional>

namespace tlsmux::ports {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::optional<PortRange> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  const auto from = parse_port(text.substr(0, dash));
  const auto to = dash == std::string_view::npos ? from : parse_port(text.substr(dash + 1));
  if (!from || !to || *to < *from) return std::nullopt;
  return PortRange{.from = *from, .to = *to};
}

}  // namespace

void PortSet::add(PortRange range) {
  for (std::uint32_t port = range.from; port <= range.to; ++port) bits_.set(port);
}

PortSet& PortSet::operator|=(const PortSet& other) {
  bits_ |= other.bits_;
  return *this;
}

PortSet& PortSet::operator&=(const PortSet& other) {
  bits_ &= other.bits_;
  return *this;
}

PortSet& PortSet::operator-=(const PortSet& other) {
  bits_ &= ~other.bits_;
  return *this;
}

std::vector<PortRange> PortSet::ranges() const {
  std::vector<PortRange> ranges;
  auto left = bits_.count();  // those behind the last one need no look
  for (std::uint32_t port = 0; left > 0; ++port) {
    if (!bits_.test(port)) continue;
    --left;
    const auto number = static_cast<std::uint16_t>(port);
    if (!ranges.empty() && ranges.back().to + 1U == port) {
      ranges.back().to = number;
    } else {
      ranges.push_back({.from = number, .to = number});
    }
  }
  return ranges;
}

std::string PortSet::text() const {
  std::string text;
  for (const auto& range : ranges()) {
    if (!text.empty()) text += ',';
    text += std::to_string(range.from);
    if (range.to != range.from) text += '-' + std::to_string(range.to);
  }
  return text;
}

std::expected<PortSet, std::string> PortSet::parse(std::string_view text) {
  PortSet set;
  auto rest = trimmed(text);
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    const auto part = rest.substr(0, comma);
    const auto range = parse_range(part);
    if (!range) {
      return std::unexpected("\"" + std::string(part) +
                             "\" is neither a port (0 to 65535) nor a range such as 1000-3000");
    }
    set.add(*range);
    if (comma == std::string_view::npos) break;
    rest = rest.substr(comma + 1);
    if (rest.empty()) return std::unexpected(std::string("a port is missing behind the last comma"));
  }
  return set;
}

}  // namespace tlsmux::ports
