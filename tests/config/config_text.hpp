#pragma once

// A good configuration as JSON, and ways to change one value of it.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "config/config_json.hpp"

namespace tlsmux::config::test {

// Two groups, one upstream that both may use.
inline nlohmann::json good_json() {
  return nlohmann::json::parse(R"({
    "engine": {"control_socket": "/run/tlsmux/control.sock", "log": {"level": "info"}},
    "groups": [
      {"name": "EBANKING", "users": ["1000"], "memory": {"slot_bytes": 8192}},
      {"name": "POS", "unix_groups": ["2000"]}
    ],
    "upstreams": [{
      "name": "acquirer",
      "groups": ["EBANKING", "POS"],
      "endpoints": [{"host": "127.0.0.1", "port": 5000}],
      "tls": {"ca_file": "/etc/ca.pem"},
      "framing": {"length_bytes": 2},
      "correlation": {"kind": "bytes", "offset": 4, "length": 6},
      "timeouts": {"connect_ms": 5000},
      "backoff": {"initial_ms": 100}
    }]
  })");
}

// The good configuration with the value at `pointer` replaced or added.
inline nlohmann::json with(std::string_view pointer, std::string_view json_value) {
  nlohmann::json changed = good_json();
  changed[nlohmann::json::json_pointer(std::string(pointer))] = nlohmann::json::parse(json_value);
  return changed;
}

// The good configuration without the value at `pointer`.
inline nlohmann::json without(std::string_view pointer) {
  return good_json().patch({{{"op", "remove"}, {"path", pointer}}});
}

inline Config parsed(const nlohmann::json& json) { return parse(json.dump()).value(); }

inline std::string in_words(const ConfigErrors& errors) { return format_errors("FILE", errors); }

}  // namespace tlsmux::config::test
