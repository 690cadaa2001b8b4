#pragma once

// Settings as a tree of keys and values, for comparing and showing them: a visitor of describe.hpp, so that no setting
// can be forgotten.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/describe.hpp"
#include "config/words.hpp"

namespace tlsmux::config {

struct SettingsNode {
  enum class Kind : std::uint8_t { value, object, list };

  std::string key;  // in a list, the index
  Kind kind = Kind::value;
  std::string value;  // as JSON text
  std::vector<SettingsNode> children;

  bool operator==(const SettingsNode&) const = default;
};

// In double quotes, with control characters, quotes and backslashes escaped (RFC 8259 section 7).
std::string json_text(std::string_view text);
std::string json_text(const std::vector<std::string>& texts);
std::string json_text(const std::vector<std::uint32_t>& numbers);
std::string json_text(const std::map<std::uint32_t, std::string>& values);
std::string hex_text(const std::vector<std::uint8_t>& bytes);

// The settings themselves have no key.
template <class Settings>
SettingsNode settings_tree(Settings settings);

class SettingsTreeBuilder {
 public:
  // `nodes` must outlive this.
  explicit SettingsTreeBuilder(std::vector<SettingsNode>& nodes) : nodes_(nodes) {}

  void number(std::string_view key, std::uint64_t value, Range /*range*/, Presence /*presence*/ = {}) {
    add(key, std::to_string(value));
  }
  void signed_number(std::string_view key, std::int64_t value, SignedRange /*range*/) {
    add(key, std::to_string(value));
  }
  void numbers(std::string_view key, const std::vector<std::uint32_t>& values, Presence /*presence*/, Range /*range*/,
               Range /*count*/) {
    add(key, json_text(values));
  }
  void flag(std::string_view key, bool value) { add(key, value ? "true" : "false"); }
  template <class Enum>
  void word(std::string_view key, Enum value) {
    add(key, json_text(word_of(value)));
  }
  void text(std::string_view key, const std::string& text, TextKind /*kind*/, Presence /*presence*/) {
    add(key, json_text(text));
  }
  void texts(std::string_view key, const std::vector<std::string>& texts, TextKind /*kind*/, Presence /*presence*/,
             Range /*count*/) {
    add(key, json_text(texts));
  }
  void hex(std::string_view key, const std::vector<std::uint8_t>& bytes, Range /*count*/) { add(key, hex_text(bytes)); }
  void field_values(std::string_view key, const std::map<std::uint32_t, std::string>& values) {
    add(key, json_text(values));
  }
  template <class Settings>
  void object(std::string_view key, const Settings& settings) {
    nodes_.push_back(settings_tree(settings));
    nodes_.back().key = key;
  }
  template <class Settings>
  void objects(std::string_view key, const std::vector<Settings>& settings, Presence /*presence*/, Range /*count*/) {
    SettingsNode list{.key = std::string(key), .kind = SettingsNode::Kind::list, .value = {}, .children = {}};
    for (const Settings& entry : settings) {
      list.children.push_back(settings_tree(entry));
      list.children.back().key = std::to_string(list.children.size() - 1);
    }
    nodes_.push_back(std::move(list));
  }

  // Not settings of their own.
  template <class Settings>
  void preset(std::string_view /*key*/, const Settings& /*settings*/) {}
  template <class Enum>
  void implied(Enum /*field*/, Enum /*value*/) {}
  void ignored(std::string_view /*key*/) {}

 private:
  void add(std::string_view key, std::string value) {
    nodes_.push_back(
        {.key = std::string(key), .kind = SettingsNode::Kind::value, .value = std::move(value), .children = {}});
  }

  std::vector<SettingsNode>& nodes_;
};

template <class Settings>
SettingsNode settings_tree(Settings settings) {
  SettingsNode node{.key = {}, .kind = SettingsNode::Kind::object, .value = {}, .children = {}};
  SettingsTreeBuilder builder(node.children);
  describe(builder, settings);
  return node;
}

}  // namespace tlsmux::config
