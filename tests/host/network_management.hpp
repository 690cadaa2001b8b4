#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/options.hpp"
#include "tests/host/shared_state.hpp"

namespace tlsmux::host {

// Sign-on, sign-off and echo tests of one connection: what they are answered with, and whether other requests
// are taken.
class NetworkManagement {
 public:
  // `behaviour` and `shared` must outlive it.
  NetworkManagement(const Behaviour& behaviour, SharedState& shared) : behaviour_(behaviour), shared_(shared) {}

  struct Verdict {
    bool close = false;
    std::optional<std::string> response_code = {};  // field 39; none: no answer
  };
  // Counts the request, whatever kind it is.
  Verdict take(const Message& request, std::uint64_t now_ns);

  [[nodiscard]] std::uint64_t sign_ons() const { return sign_ons_; }
  [[nodiscard]] std::uint64_t sign_offs() const { return sign_offs_; }

 private:
  Verdict sign_on();
  Verdict echo_test(std::uint64_t now_ns);
  Verdict without_sign_on();
  bool& signed_on();

  const Behaviour& behaviour_;
  SharedState& shared_;
  bool signed_on_here_ = false;
  std::uint64_t sign_ons_ = 0;
  std::uint64_t sign_offs_ = 0;
  std::optional<std::uint64_t> echoed_ns_;
};

[[nodiscard]] inline bool is_network_management(std::string_view type) { return type[1] == '8'; }

}  // namespace tlsmux::host
