#pragma once

// Every setting with what the code says of it, in the words of JSON Schema: a visitor of config/describe.hpp.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config/describe.hpp"
#include "config/framing_presets.hpp"
#include "config/words.hpp"

namespace tlsmux::config::test {

// Path (such as upstreams[].tls.ca_file) to what the schema must say there. The path of an object ends in
// "{}".
using SettingsList = std::map<std::string, nlohmann::json>;

inline nlohmann::json text_schema(TextKind kind, Presence presence) {
  const bool may_be_empty = presence == Presence::may_be_empty;
  nlohmann::json schema = {{"type", "string"}};
  if (!may_be_empty && kind != TextKind::name) schema["minLength"] = 1;
  switch (kind) {
    case TextKind::name: schema["pattern"] = "^[A-Za-z0-9_.-]{1," + std::to_string(kNameBytesMax) + "}$"; break;
    case TextKind::host:
      schema["pattern"] = "^[A-Za-z0-9._:%-]*$";
      schema["maxLength"] = kHostBytesMax;
      break;
    case TextKind::user:
    case TextKind::unix_group: schema["maxLength"] = kAccountBytesMax; break;
    case TextKind::path:
      schema["pattern"] = may_be_empty ? "^(/.*)?$" : "^/";
      schema["maxLength"] = kPathBytesMax;
      break;
    case TextKind::socket_path:
      schema["pattern"] = "^/";
      schema["maxLength"] = kSocketPathBytesMax;
      break;
  }
  return schema;
}

class SettingsLister {
 public:
  SettingsLister(SettingsList& list, std::string prefix) : list_(list), prefix_(std::move(prefix)) {}

  template <class Number>
  void number(std::string_view key, Number& field, Range range, Presence presence = Presence::has_default) {
    add(key, {{"type", "integer"}, {"minimum", range.min}, {"maximum", range.max}}, presence, field);
  }
  void flag(std::string_view key, bool& field) { add(key, {{"type", "boolean"}}, Presence::has_default, field); }
  template <class Enum>
  void word(std::string_view key, Enum& field) {
    add(key, {{"type", "string"}, {"enum", all_words<Enum>()}}, Presence::has_default, word_of(field));
  }
  void text(std::string_view key, std::string& field, TextKind kind, Presence presence) {
    add(key, text_schema(kind, presence), presence, field);
  }
  void texts(std::string_view key, std::vector<std::string>& fields, TextKind kind, Presence presence, Range count) {
    nlohmann::json schema = list_schema(count);
    schema["items"] = text_schema(kind, Presence::has_default);
    add(key, std::move(schema), presence, fields);
  }
  void hex(std::string_view key, std::vector<std::uint8_t>& bytes, Range count) {
    CHECK(bytes.empty());
    const std::string digits =
        "^([0-9A-Fa-f]{2}){" + std::to_string(count.min) + "," + std::to_string(count.max) + "}$";
    add(key, {{"type", "string"}, {"pattern", digits}}, Presence::has_default, "");
  }
  void preset(std::string_view key, FramingSettings& /*framing*/) {
    list_[path(key)] = {{"type", "string"}, {"enum", framing_preset_names()}};
    keys_.emplace_back(key);
  }
  template <class Settings>
  void object(std::string_view key, Settings& settings) {
    keys_.emplace_back(key);
    list_object(path(key), settings);
  }
  template <class Settings>
  void objects(std::string_view key, std::vector<Settings>& settings, Range count) {
    CHECK(settings.empty());
    keys_.emplace_back(key);
    required_.emplace_back(key);
    list_[path(key)] = list_schema(count);
    Settings defaults;
    list_object(path(key) + "[]", defaults);
  }
  void ignored(std::string_view key) { keys_.emplace_back(key); }

  void finish(const std::string& own_path) {
    std::ranges::sort(keys_);
    std::ranges::sort(required_);
    list_[own_path + "{}"] = {{"keys", keys_}, {"required", required_}, {"additionalProperties", false}};
  }

 private:
  [[nodiscard]] std::string path(std::string_view key) const { return prefix_ + std::string(key); }

  static nlohmann::json list_schema(Range count) {
    nlohmann::json schema = {{"type", "array"}, {"maxItems", count.max}};
    if (count.min > 0) schema["minItems"] = count.min;
    return schema;
  }

  template <class Settings>
  void list_object(const std::string& own_path, Settings& settings) {
    SettingsLister lister(list_, own_path + ".");
    describe(lister, settings);
    lister.finish(own_path);
  }

  void add(std::string_view key, nlohmann::json schema, Presence presence, const nlohmann::json& value) {
    keys_.emplace_back(key);
    if (presence == Presence::required) {
      required_.emplace_back(key);
    } else {
      schema["default"] = value;
    }
    list_[path(key)] = std::move(schema);
  }

  SettingsList& list_;
  std::string prefix_;
  std::vector<std::string> keys_;
  std::vector<std::string> required_;
};

inline SettingsList settings_list() {
  SettingsList list;
  SettingsLister lister(list, "");
  Config defaults;
  describe(lister, defaults);
  lister.finish("");
  return list;
}

}  // namespace tlsmux::config::test
