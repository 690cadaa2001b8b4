#pragma once

// Checks each setting by itself, for settings that no reader has checked: a visitor of describe.hpp.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/check/findings.hpp"
#include "config/describe.hpp"
#include "config/json/json_pointer.hpp"

namespace tlsmux::config {

class ValueChecker {
 public:
  // `findings` must outlive this.
  ValueChecker(std::string pointer, Findings& findings) : pointer_(std::move(pointer)), findings_(findings) {}

  void number(std::string_view key, std::uint64_t value, Range range, Presence /*presence*/ = {}) {
    findings_.add_problem(pointer_to(pointer_, key), number_problem(value, range));
  }

  void signed_number(std::string_view key, std::int64_t value, SignedRange range) {
    findings_.add_problem(pointer_to(pointer_, key), number_problem(value, range));
  }

  void numbers(std::string_view key, const std::vector<std::uint32_t>& values, Presence /*presence*/, Range range,
               Range count) {
    const std::string pointer = pointer_to(pointer_, key);
    findings_.add_problem(pointer, count_problem(values.size(), count, "numbers"));
    for (std::size_t i = 0; i < values.size(); ++i) {
      findings_.add_problem(pointer_to(pointer, i), number_problem(values[i], range));
    }
  }

  void text(std::string_view key, std::string_view text, TextKind kind, Presence presence) {
    findings_.add_problem(pointer_to(pointer_, key), text_problem(kind, presence, text));
  }

  void texts(std::string_view key, const std::vector<std::string>& texts, TextKind kind, Presence /*presence*/,
             Range count) {
    const std::string pointer = pointer_to(pointer_, key);
    findings_.add_problem(pointer, count_problem(texts.size(), count, "texts"));
    for (std::size_t i = 0; i < texts.size(); ++i) {
      findings_.add_problem(pointer_to(pointer, i), text_problem(kind, Presence::has_default, texts[i]));
    }
  }

  void hex(std::string_view key, const std::vector<std::uint8_t>& bytes, Range count) {
    findings_.add_problem(pointer_to(pointer_, key), count_problem(bytes.size(), count, "bytes"));
  }

  void field_values(std::string_view key, const std::map<std::uint32_t, std::string>& values) {
    const std::string pointer = pointer_to(pointer_, key);
    for (const auto& [number, value] : values) {
      const std::string entry = pointer_to(pointer, std::size_t{number});
      findings_.add_problem(entry, number_problem(number, kFieldNumber));
      findings_.add_problem(entry, field_value_problem(value));
    }
  }

  template <class Settings>
  void object(std::string_view key, Settings& settings) {
    ValueChecker checker(pointer_to(pointer_, key), findings_);
    describe(checker, settings);
  }

  template <class Settings>
  void objects(std::string_view key, std::vector<Settings>& settings, Presence /*presence*/, Range count) {
    const std::string pointer = pointer_to(pointer_, key);
    findings_.add_problem(pointer, count_problem(settings.size(), count, "entries"));
    for (std::size_t i = 0; i < settings.size(); ++i) {
      ValueChecker checker(pointer_to(pointer, i), findings_);
      describe(checker, settings[i]);
    }
  }

  // Every value of these is right.
  void flag(std::string_view /*key*/, bool /*value*/) {}
  template <class Enum>
  void word(std::string_view /*key*/, Enum /*value*/) {}
  template <class Settings>
  void preset(std::string_view /*key*/, const Settings& /*settings*/) {}
  template <class Enum>
  void implied(Enum /*field*/, Enum /*value*/) {}
  void ignored(std::string_view /*key*/) {}

 private:
  std::string pointer_;
  Findings& findings_;
};

}  // namespace tlsmux::config
