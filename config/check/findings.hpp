#pragma once

// Collects the errors of one examination, without those that merely follow from errors found before it: where
// a value could not be read, what was compared with its default says nothing.

#include <initializer_list>
#include <span>
#include <string>
#include <utility>

#include "config/check/value_rules.hpp"
#include "config/config_error.hpp"

namespace tlsmux::config {

class Findings {
 public:
  // `earlier` must outlive this.
  explicit Findings(std::span<const ConfigError> earlier) : earlier_(earlier) {}

  // Drops the error if an earlier one lies at its pointer, or at one of the other settings it was concluded
  // from.
  void add(const std::string& pointer, std::string message, std::initializer_list<std::string> concluded_from = {});

  // Nothing, when there is no problem.
  void add_problem(const std::string& pointer, Problem problem) {
    if (problem) add(pointer, std::move(*problem), {});
  }

  [[nodiscard]] ConfigErrors take() && { return std::move(errors_); }

 private:
  [[nodiscard]] bool in_doubt(const std::string& pointer) const;

  std::span<const ConfigError> earlier_;
  ConfigErrors errors_;
};

}  // namespace tlsmux::config
