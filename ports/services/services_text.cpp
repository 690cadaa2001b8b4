// The two texts that groups are written out as.
#include <algorithm>

#include "config/settings_tree.hpp"
#include "config/words.hpp"
#include "ports/services/services_file.hpp"

namespace tlsmux::ports {
namespace {

using config::DynamicPortSettings;
using config::GroupSettings;
using config::json_text;
using config::PortProtocols;
using config::StaticPortSettings;

std::string_view shown(PortProtocols protocols) {
  switch (protocols) {
    case PortProtocols::tcp: return "TCP";
    case PortProtocols::udp: return "UDP";
    case PortProtocols::both: break;
  }
  return "TCP,UDP";
}

// With a slash it might be taken for NUMBER/PROTOCOL.
std::string word(std::string_view text) {
  const bool is_plain = !text.empty() && text.find_first_of(" \t\r#\"/") == std::string_view::npos;
  if (is_plain) return std::string(text);
  std::string result = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') result += '\\';
    result += character;
  }
  return result + "\"";
}

std::string accounts_line(std::string_view keyword, const std::vector<std::string>& accounts) {
  if (accounts.empty()) return "";
  std::string line(keyword);
  for (const std::string& account : accounts) line += " " + word(account);
  return line + "\n";
}

std::string static_line(const StaticPortSettings& port) {
  std::string line = "Static " + std::to_string(port.port) + " " + std::string(shown(port.protocol)) + " " + port.label;
  if (!port.program.empty()) line += " " + word(port.program);
  return line + "\n";
}

std::string dynamic_line(const DynamicPortSettings& range) {
  return "Dynamic [" + std::to_string(range.from) + "-" + std::to_string(range.to) + "] " +
         std::string(shown(range.protocols)) + "\n";
}

std::string json_object(const StaticPortSettings& port) {
  std::string object = "{ \"port\": " + std::to_string(port.port) +
                       ", \"protocol\": " + json_text(config::word_of(port.protocol)) +
                       ", \"label\": " + json_text(port.label);
  if (!port.program.empty()) object += ", \"program\": " + json_text(port.program);
  return object + " }";
}

std::string json_object(const DynamicPortSettings& range) {
  return "{ \"from\": " + std::to_string(range.from) + ", \"to\": " + std::to_string(range.to) +
         ", \"protocols\": " + json_text(config::word_of(range.protocols)) + " }";
}

std::string json_object(const GroupSettings& group);

template <class Settings>
std::string json_list(const std::vector<Settings>& list, const std::string& indent) {
  std::string text = "[";
  for (const Settings& entry : list) {
    text += (text.size() == 1 ? "\n" : ",\n") + indent + "  " + json_object(entry);
  }
  return text + "\n" + indent + "]";
}

std::string json_object(const GroupSettings& group) {
  std::string text = "{\n    \"name\": " + json_text(group.name);
  if (!group.users.empty()) text += ",\n    \"users\": " + json_text(group.users);
  if (!group.unix_groups.empty()) text += ",\n    \"unix_groups\": " + json_text(group.unix_groups);
  std::string ports;
  if (!group.ports.static_ports.empty()) {
    ports += "\n      \"static\": " + json_list(group.ports.static_ports, "      ");
  }
  if (!group.ports.dynamic.empty()) {
    ports += (ports.empty() ? "" : ",") + ("\n      \"dynamic\": " + json_list(group.ports.dynamic, "      "));
  }
  if (!ports.empty()) text += ",\n    \"ports\": {" + ports + "\n    }";
  return text + "\n  }";
}

}  // namespace

std::string format_services(std::span<const GroupSettings> groups) {
  std::string text;
  for (const GroupSettings& group : groups) {
    if (!text.empty()) text += "\n";
    text += "Service " + group.name + "\n";
    text += accounts_line("User", group.users);
    text += accounts_line("Group", group.unix_groups);
    for (const StaticPortSettings& port : group.ports.static_ports) text += static_line(port);
    for (const DynamicPortSettings& range : group.ports.dynamic) text += dynamic_line(range);
  }
  return text;
}

std::string groups_json(std::span<const GroupSettings> groups) {
  const std::vector<GroupSettings> list(groups.begin(), groups.end());
  return json_list(list, "") + "\n";
}

}  // namespace tlsmux::ports
