#pragma once

// What passes on a connection, written by hand: steps such as "> GET ..." to the host and "< HTTP/1.1 200 ..." from it.

#include <cstddef>
#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/message/boundary.hpp"

namespace tlsmux::test {

using Script = std::vector<std::string>;

struct BoundaryState {
  bool is_clean = false;
  bool is_owed = false;
  std::optional<std::uint32_t> idle_max_s;
  bool operator==(const BoundaryState&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const BoundaryState& state) {
  return out << (state.is_clean ? "clean" : "not clean") << (state.is_owed ? ", owed" : "")
             << (state.idle_max_s ? ", idle for " + std::to_string(*state.idle_max_s) + " s" : "");
}

inline BoundaryState state_of(const engine::message::Boundary& boundary) {
  return {.is_clean = boundary.is_clean(), .is_owed = boundary.is_owed(), .idle_max_s = boundary.idle_max_s()};
}

// `step` with its bytes in a place of their own, so that a sanitizer sees every read beside them.
inline void pass(engine::message::Boundary& boundary, bool to_host, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  const std::vector<std::byte> piece(bytes.begin(), bytes.end());
  if (to_host) {
    boundary.sent(piece);
  } else {
    boundary.received(piece);
  }
}

inline void pass(engine::message::Boundary& boundary, const std::string& step) {
  pass(boundary, step[0] == '>', std::string_view(step).substr(2));
}

inline void pass(engine::message::Boundary& boundary, const Script& script) {
  for (const std::string& step : script) pass(boundary, step);
}

}  // namespace tlsmux::test
