#pragma once

// Reads settings out of a JSON object, as describe.hpp tells: collects every error with its pointer, and
// leaves a field that has one at its default.

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/check/short_forms.hpp"
#include "config/config_error.hpp"
#include "config/describe.hpp"
#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"
#include "config/words.hpp"

namespace tlsmux::config {

// `must be EXPECTED, is FOUND`
std::string wrong_type(std::string_view expected, const nlohmann::json& found);

template <class Settings>
void read_settings(const nlohmann::json& value, const std::string& pointer, ConfigErrors& errors, Settings& settings);

class ObjectReader {
 public:
  // `object` must be an object and outlive the reader, as must `errors`.
  ObjectReader(const nlohmann::json& object, std::string pointer, ConfigErrors& errors)
      : object_(object), pointer_(std::move(pointer)), errors_(errors) {}

  template <class Number>
  void number(std::string_view key, Number& field, Range range, Presence presence = Presence::has_default) {
    const auto value = find_number(key, range, presence);
    if (value) field = static_cast<Number>(*value);
  }

  template <class Number>
  void signed_number(std::string_view key, Number& field, SignedRange range) {
    const auto value = find_signed_number(key, range);
    if (value) field = static_cast<Number>(*value);
  }

  template <class Enum>
  void word(std::string_view key, Enum& field) {
    const auto index = find_word(key, all_words<Enum>());
    if (index) field = kWords<Enum>[*index].value;
  }

  void flag(std::string_view key, bool& field);
  void text(std::string_view key, std::string& field, TextKind kind, Presence presence);
  void texts(std::string_view key, std::vector<std::string>& fields, TextKind kind, Presence presence, Range count);
  void numbers(std::string_view key, std::vector<std::uint32_t>& fields, Presence presence, Range range, Range count);
  void field_values(std::string_view key, std::map<std::uint32_t, std::string>& values);
  void hex(std::string_view key, std::vector<std::uint8_t>& bytes, Range count);
  void ignored(std::string_view key) { ignored_keys_.push_back(key); }

  template <class Settings>
  void preset(std::string_view key, Settings& settings) {
    const nlohmann::json* value = find(key, Presence::has_default);
    if (value == nullptr) return;
    if (!value->is_string()) return fail(key, wrong_type(expected_short_form(settings), *value));
    report(key, read_short_form(value->get_ref<const std::string&>(), settings));
  }

  template <class Enum>
  void implied(Enum& field, Enum value) {
    field = value;
  }

  template <class Settings>
  void object(std::string_view key, Settings& settings) {
    const nlohmann::json* value = find(key, Presence::has_default);
    if (value != nullptr) read_settings(*value, pointer_to(pointer_, key), errors_, settings);
  }

  // Each element has a place in `settings` even if it cannot be read, so that pointers keep telling the index.
  template <class Settings>
  void objects(std::string_view key, std::vector<Settings>& settings, Presence presence, Range count) {
    const nlohmann::json* list = find_list(key, presence, count, "entries");
    if (list == nullptr) return;
    const std::string pointer = pointer_to(pointer_, key);
    for (std::size_t i = 0; i < list->size(); ++i) {
      read_settings((*list)[i], pointer_to(pointer, i), errors_, settings.emplace_back());
    }
  }

  // Reports the keys that no member above has asked for. Call it last.
  void finish();

 private:
  const nlohmann::json* find(std::string_view key, Presence presence);
  const nlohmann::json* find_list(std::string_view key, Presence presence, Range count, std::string_view of_what);
  std::optional<std::uint64_t> find_number(std::string_view key, Range range, Presence presence);
  std::optional<std::int64_t> find_signed_number(std::string_view key, SignedRange range);
  // The index of the word that the key has.
  std::optional<std::size_t> find_word(std::string_view key, const std::vector<std::string_view>& words);
  void fail(std::string_view key, std::string message);
  // Whether there was no problem.
  bool report(std::string_view key, Problem problem);

  const nlohmann::json& object_;
  std::string pointer_;
  ConfigErrors& errors_;
  std::vector<std::string_view> keys_;  // asked for so far
  std::vector<std::string_view> ignored_keys_;
};

template <class Settings>
void read_settings(const nlohmann::json& value, const std::string& pointer, ConfigErrors& errors, Settings& settings) {
  const auto fail = [&](std::string message) { errors.push_back({.pointer = pointer, .message = std::move(message)}); };
  const std::string object = "an object { ... }";
  if constexpr (HasShortForm<Settings>) {
    if (value.is_string()) {
      if (Problem problem = read_short_form(value.get_ref<const std::string&>(), settings)) fail(*problem);
      return;
    }
    if (!value.is_object()) {
      return fail(wrong_type(std::string(expected_short_form(settings)) + " or " + object, value));
    }
  }
  if (!value.is_object()) return fail(wrong_type(object, value));
  ObjectReader reader(value, pointer, errors);
  describe(reader, settings);
  reader.finish();
}

}  // namespace tlsmux::config
