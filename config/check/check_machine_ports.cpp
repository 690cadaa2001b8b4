#include "config/check/check_machine_ports.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>

#include "config/json/json_pointer.hpp"
#include "config/text_file.hpp"

namespace tlsmux::config {
namespace {

constexpr std::size_t kSettingBytesMax = 1U << 20;

std::expected<std::string, std::string> read_setting(const std::string& path) {
  auto text = read_text_file(path, kSettingBytesMax, "setting of the kernel");
  if (!text) return std::unexpected(path + " " + text.error());
  return text;
}

std::optional<std::uint16_t> take_port(std::string_view& text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return port;
}

bool skip(std::string_view& text, std::string_view characters) {
  const std::size_t first = std::min(text.find_first_not_of(characters), text.size());
  text.remove_prefix(first);
  return first > 0;
}

// "1000-3000,5000", with a line feed at the end.
bool read_list(std::string_view text, PortBits& ports) {
  skip(text, " \t\n");
  while (!text.empty()) {
    const auto from = take_port(text);
    const auto to = skip(text, "-") ? take_port(text) : from;
    if (!from || !to) return false;
    for (std::uint32_t port = *from; port <= *to; ++port) ports.set(port);
    if (!skip(text, ", \t\n") && !text.empty()) return false;
  }
  return true;
}

// Both ends included.
struct Stretch {
  std::uint16_t from = 0;
  std::uint16_t to = 0;
};

// "32768\t60999", with a line feed at the end.
std::optional<Stretch> read_range(std::string_view text) {
  const auto from = take_port(text);
  if (!from || !skip(text, " \t")) return std::nullopt;
  const auto to = take_port(text);
  skip(text, " \t\n");
  if (!to || *to < *from || !text.empty()) return std::nullopt;
  return Stretch{.from = *from, .to = *to};
}

// The first stretch of ports that the kernel may give out.
std::optional<Stretch> first_clash(std::uint16_t from, std::uint16_t to, const KernelPorts& kernel) {
  std::optional<Stretch> clash;
  for (std::uint32_t port = std::max(from, kernel.from); port <= std::min(to, kernel.to); ++port) {
    const bool is_given_out = !kernel.reserved.test(port);
    if (!is_given_out && clash) break;
    if (!is_given_out) continue;
    if (!clash) clash = Stretch{.from = static_cast<std::uint16_t>(port), .to = 0};
    clash->to = static_cast<std::uint16_t>(port);
  }
  return clash;
}

void check_entry(std::uint16_t from, std::uint16_t to, const std::string& group, const std::string& pointer,
                 const KernelPorts& kernel, Findings& findings) {
  const auto clash = first_clash(from, to, kernel);
  if (!clash) return;
  const bool is_one = clash->from == clash->to;
  const std::string which = is_one ? "port " + std::to_string(clash->from)
                                   : "ports " + std::to_string(clash->from) + " to " + std::to_string(clash->to);
  const std::string reservation = group + "/ports/enforcement/reservation";
  findings.add(pointer,
               which + (is_one ? " is one" : " are some") + " that the kernel gives to any program " +
                   "(net.ipv4.ip_local_port_range is " + std::to_string(kernel.from) + " to " +
                   std::to_string(kernel.to) + "); set " + reservation + " to true, or choose ports outside of it",
               {reservation});
}

}  // namespace

std::expected<KernelPorts, std::string> read_kernel_ports(const std::string& folder) {
  const std::string range_path = folder + "/ip_local_port_range";
  const std::string reserved_path = folder + "/ip_local_reserved_ports";
  const auto range = read_setting(range_path);
  if (!range) return std::unexpected(range.error());
  const auto reserved = read_setting(reserved_path);
  if (!reserved) return std::unexpected(reserved.error());
  const auto stretch = read_range(*range);
  if (!stretch) return std::unexpected(range_path + " does not hold two ports, the lower first");
  KernelPorts ports{.from = stretch->from, .to = stretch->to, .reserved = {}};
  if (!read_list(*reserved, ports.reserved)) return std::unexpected(reserved_path + " does not hold a list of ports");
  return ports;
}

void check_machine_ports(const Config& config, const KernelPorts& kernel, Findings& findings) {
  for (std::size_t i = 0; i < config.groups.size(); ++i) {
    const PortSettings& ports = config.groups[i].ports;
    if (ports.enforcement.reservation) continue;
    const std::string group = pointer_to("/groups", i);
    const std::string pointer = pointer_to(group, "ports");
    for (std::size_t entry = 0; entry < ports.static_ports.size(); ++entry) {
      const std::uint16_t port = ports.static_ports[entry].port;
      const std::string place = pointer_to(pointer_to(pointer_to(pointer, "static"), entry), "port");
      check_entry(port, port, group, place, kernel, findings);
    }
    for (std::size_t entry = 0; entry < ports.dynamic.size(); ++entry) {
      const DynamicPortSettings& range = ports.dynamic[entry];
      check_entry(range.from, range.to, group, pointer_to(pointer_to(pointer, "dynamic"), entry), kernel, findings);
    }
  }
}

}  // namespace tlsmux::config
