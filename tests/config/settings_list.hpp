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

// Of the kinds that have one.
inline std::string text_pattern(TextKind kind, bool may_be_empty) {
  const auto from = [may_be_empty](int least) { return "{" + std::to_string(may_be_empty ? 0 : least) + ","; };
  switch (kind) {
    case TextKind::name: return "^[A-Za-z0-9_.-]" + from(1) + std::to_string(kNameBytesMax) + "}$";
    case TextKind::host: return "^[A-Za-z0-9._:%-]*$";
    case TextKind::address: return "^[0-9A-Za-z.:%]*$";
    case TextKind::address_range: return "^[0-9A-Fa-f.:]*(/[0-9]{1,3})?$";
    case TextKind::name_pattern: return R"(^(\*\.)?[A-Za-z0-9._-]*$)";
    case TextKind::path: return may_be_empty ? "^(/.*)?$" : "^/";
    case TextKind::socket_path: return "^/";
    case TextKind::pin: return "^sha256/[A-Za-z0-9+/]{43}=$";
    case TextKind::tls_name: return "^[A-Za-z0-9_-]*$";
    case TextKind::iso8583_spec: return "^(/.*|[A-Za-z0-9_.-]" + from(1) + std::to_string(kNameBytesMax) + "})$";
    case TextKind::mti: return may_be_empty ? "^([0-9]{4})?$" : "^[0-9]{4}$";
    case TextKind::mti_start: return "^[0-9]" + from(1) + "4}$";
    case TextKind::processing_code_start: return "^[0-9]" + from(1) + "6}$";
    case TextKind::digit_map: return "^[0-9]{10}$";
    case TextKind::digit_set: return "^[0-9]" + from(1) + "10}$";
    case TextKind::port_label: return "^[A-Za-z0-9_.+-]" + from(1) + std::to_string(kPortLabelBytesMax) + "}$";
    case TextKind::program: return R"(^[ !#-.0-\[\]-~]*$)";
    case TextKind::user:
    case TextKind::unix_group:
    case TextKind::alpn: break;
  }
  return "";
}

// 0: the pattern tells.
inline std::uint32_t text_bytes_max(TextKind kind) {
  switch (kind) {
    case TextKind::host:
    case TextKind::name_pattern: return kHostBytesMax;
    case TextKind::user:
    case TextKind::unix_group: return kAccountBytesMax;
    case TextKind::path: return kPathBytesMax;
    case TextKind::socket_path: return kSocketPathBytesMax;
    case TextKind::alpn: return kAlpnBytesMax;
    case TextKind::tls_name: return kTlsNameBytesMax;
    case TextKind::program: return kProgramBytesMax;
    default: return 0;
  }
}

inline nlohmann::json text_schema(TextKind kind, Presence presence) {
  const bool may_be_empty = presence == Presence::may_be_empty;
  nlohmann::json schema = {{"type", "string"}};
  if (!may_be_empty && kind != TextKind::name) schema["minLength"] = 1;
  if (const std::string pattern = text_pattern(kind, may_be_empty); !pattern.empty()) schema["pattern"] = pattern;
  if (const std::uint32_t bytes_max = text_bytes_max(kind); bytes_max != 0) schema["maxLength"] = bytes_max;
  return schema;
}

class SettingsLister {
 public:
  SettingsLister(SettingsList& list, std::string prefix) : list_(list), prefix_(std::move(prefix)) {}

  template <class Number>
  void number(std::string_view key, Number& field, Range range, Presence presence = Presence::has_default) {
    add(key, {{"type", "integer"}, {"minimum", range.min}, {"maximum", range.max}}, presence, field);
  }
  template <class Number>
  void signed_number(std::string_view key, Number& field, SignedRange range) {
    add(key, {{"type", "integer"}, {"minimum", range.min}, {"maximum", range.max}}, Presence::has_default, field);
  }
  void numbers(std::string_view key, std::vector<std::uint32_t>& fields, Presence presence, Range range, Range count) {
    nlohmann::json schema = list_schema(count);
    schema["items"] = {{"type", "integer"}, {"minimum", range.min}, {"maximum", range.max}};
    add(key, std::move(schema), presence, fields);
  }
  void field_values(std::string_view key, std::map<std::uint32_t, std::string>& values) {
    CHECK(values.empty());
    add(key,
        {{"type", "object"},
         {"propertyNames", {{"pattern", "^[1-9][0-9]{0,2}$"}}},
         {"maxProperties", kFieldValuesMax},
         {"additionalProperties", {{"type", "string"}, {"maxLength", kFieldValueBytesMax}}}},
        Presence::has_default, nlohmann::json::object());
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
  template <class Enum>
  void implied(Enum /*field*/, Enum /*value*/) {}
  template <class Settings>
  void object(std::string_view key, Settings& settings) {
    keys_.emplace_back(key);
    list_object(path(key), settings);
  }
  template <class Settings>
  void objects(std::string_view key, std::vector<Settings>& settings, Presence presence, Range count) {
    CHECK(settings.empty());
    add(key, list_schema(count), presence, nlohmann::json::array());
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
