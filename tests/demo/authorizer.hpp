#pragma once

// An authorizer as an application would write one: a channel to the acquirer, a few requests in flight, and an outcome
// for each.

#include <chrono>
#include <cstdint>
#include <string>

#include "tests/demo/ledger.hpp"
#include "tlsmux/tlsmux.hpp"

namespace tlsmux::demo {

struct AuthorizerOrder {
  std::string control_socket;
  std::string group;
  std::string upstream;
  std::string ledger_file;
  unsigned authorizer = 0;
  std::uint32_t requests = 0;
  double seconds = 0;  // over which the requests are spread
};

class Authorizer {
 public:
  // Attaches and opens the channel. Failures, here and later, throw std::runtime_error.
  explicit Authorizer(AuthorizerOrder order);

  // Returns when each request has its outcome, noted in the ledger.
  void run();

 private:
  void submit_due(std::int64_t now_ns);
  bool submit_next(std::int64_t now_ns);
  void take_outcomes(std::chrono::milliseconds timeout);
  void take(const Completion& completion, std::int64_t now_ns);
  // Until the next request is due, or it is worth trying again.
  [[nodiscard]] std::chrono::milliseconds time_to_wait(std::int64_t now_ns) const;
  [[nodiscard]] std::int64_t due_ns(std::uint32_t request) const;

  AuthorizerOrder order_;
  Ledger ledger_;
  Client client_;
  Channel channel_;
  std::int64_t start_ns_ = 0;
  std::uint32_t next_ = 0;
  std::uint32_t in_flight_ = 0;
  bool refused_ = false;  // at present there is no room or no engine
};

}  // namespace tlsmux::demo
