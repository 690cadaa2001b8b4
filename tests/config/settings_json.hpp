#pragma once

// Settings as the JSON text that they would be written as.

#include <nlohmann/json.hpp>
#include <string>

#include "config/settings_tree.hpp"

namespace tlsmux::config::test {

inline nlohmann::json json_of(const SettingsNode& node) {
  if (node.kind == SettingsNode::Kind::value) return nlohmann::json::parse(node.value);
  const bool is_list = node.kind == SettingsNode::Kind::list;
  nlohmann::json json = is_list ? nlohmann::json::array() : nlohmann::json::object();
  for (const SettingsNode& child : node.children) {
    if (is_list) {
      json.push_back(json_of(child));
    } else {
      json[child.key] = json_of(child);
    }
  }
  return json;
}

inline nlohmann::json json_of(const Config& config) { return json_of(settings_tree(config)); }

}  // namespace tlsmux::config::test
