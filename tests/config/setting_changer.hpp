#pragma once

// Changes settings through config/describe.hpp, so that a test can go through all of them. Each new value is one that
// the setting by itself may have.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/describe.hpp"
#include "config/words.hpp"

namespace tlsmux::config::test {

// Two texts that are right for the kind.
inline std::array<std::string, 2> samples_of(TextKind kind) {
  switch (kind) {
    case TextKind::address: return {"192.0.2.1", "::1"};
    case TextKind::address_range: return {"192.0.2.1", "2001:db8::/32"};
    case TextKind::path:
    case TextKind::socket_path: return {"/a", "/b c"};
    case TextKind::pin:
      return {"sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
              "sha256/BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
    case TextKind::mti:
    case TextKind::mti_start: return {"0800", "0820"};
    case TextKind::processing_code_start: return {"000000", "000001"};
    case TextKind::digit_map: return {"0123456780", "0123456781"};
    case TextKind::digit_set: return {"1", "13"};
    case TextKind::iso8583_spec: return {"1987_ascii", "/spec.json"};
    default: return {"one", "two"};
  }
}

class SettingChanger {
 public:
  static constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

  // Changes the setting of this index, in the order of describe.hpp; or all of them, and gives each empty list of
  // objects an entry.
  explicit SettingChanger(std::size_t index) : index_(index) {}

  // How many settings there were.
  [[nodiscard]] std::size_t count() const { return count_; }

  template <class Number>
  void number(std::string_view /*key*/, Number& field, Range range, Presence /*presence*/ = {}) {
    if (!is_next()) return;
    const bool has_next = field >= range.min && field < range.max;
    field = static_cast<Number>(has_next ? std::uint64_t{field} + 1 : range.min);
  }
  template <class Number>
  void signed_number(std::string_view /*key*/, Number& field, SignedRange range) {
    if (is_next()) field = field >= range.max ? static_cast<Number>(range.min) : field + 1;
  }
  void numbers(std::string_view key, std::vector<std::uint32_t>& fields, Presence /*presence*/, Range range,
               Range /*count*/) {
    if (!is_next()) return;
    if (fields.empty()) fields.push_back(static_cast<std::uint32_t>(range.min));
    change_nested([&](SettingChanger& changer) { changer.number(key, fields[0], range); });
  }
  void flag(std::string_view /*key*/, bool& field) {
    if (is_next()) field = !field;
  }
  template <class Enum>
  void word(std::string_view /*key*/, Enum& field) {
    if (!is_next()) return;
    const auto& words = kWords<Enum>;
    const auto found = std::ranges::find(words, field, &Word<Enum>::value);
    field = found + 1 == words.end() ? words[0].value : (found + 1)->value;
  }
  void text(std::string_view /*key*/, std::string& field, TextKind kind, Presence /*presence*/) {
    if (is_next()) field = samples_of(kind)[field == samples_of(kind)[0] ? 1 : 0];
  }
  void texts(std::string_view key, std::vector<std::string>& fields, TextKind kind, Presence presence,
             Range /*count*/) {
    if (!is_next()) return;
    if (fields.empty()) fields.emplace_back();
    change_nested([&](SettingChanger& changer) { changer.text(key, fields[0], kind, presence); });
  }
  void hex(std::string_view /*key*/, std::vector<std::uint8_t>& bytes, Range /*count*/) {
    if (!is_next()) return;
    if (bytes.empty()) {
      bytes.push_back(0x7f);
    } else {
      bytes[0] ^= 1;
    }
  }
  void field_values(std::string_view /*key*/, std::map<std::uint32_t, std::string>& values) {
    if (is_next()) values[70] += "1";
  }
  template <class Settings>
  void object(std::string_view /*key*/, Settings& settings) {
    describe(*this, settings);
  }
  template <class Settings>
  void objects(std::string_view /*key*/, std::vector<Settings>& settings, Presence /*presence*/, Range /*count*/) {
    if (settings.empty() && index_ == kAll) settings.emplace_back();
    for (Settings& entry : settings) describe(*this, entry);
  }
  template <class Settings>
  void preset(std::string_view /*key*/, const Settings& /*settings*/) {}
  template <class Enum>
  void implied(Enum /*field*/, Enum /*value*/) {}
  void ignored(std::string_view /*key*/) {}

 private:
  bool is_next() {
    const std::size_t index = count_++;
    return index_ == kAll || index_ == index;
  }

  // A change that is part of one that has been counted.
  template <class ChangeOne>
  static void change_nested(ChangeOne change_one) {
    SettingChanger changer(0);
    change_one(changer);
  }

  std::size_t index_;
  std::size_t count_ = 0;
};

// Every setting at a value of its own, with an entry in each list.
inline Config full_config() {
  Config config;
  SettingChanger changer(SettingChanger::kAll);
  describe(changer, config);
  return config;
}

// How many settings `config` has.
inline std::size_t settings_count(Config config) {
  SettingChanger changer(0);
  describe(changer, config);
  return changer.count();
}

inline Config changed(Config config, std::size_t index) {
  SettingChanger changer(index);
  describe(changer, config);
  return config;
}

}  // namespace tlsmux::config::test
