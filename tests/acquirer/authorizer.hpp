#pragma once

// An authorizer process: asks for authorizations over one channel, holds each answer against its request, and reports
// what became of them all through a pipe.

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "config/config.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::test {

struct AuthorizerOrder {
  std::string control_socket;
  std::string group;
  std::uint32_t requests = 0;  // 0: until `stop` is readable
  int stop = -1;
  std::uint32_t in_flight_max = 1;
  std::uint32_t timeout_ms = 60'000;
  bool asks_for_late_answers = false;  // then it ends only when all that is late has come
  bool stands_still = false;           // when it has submitted all, it says so and waits to be killed
  // One that stands still does the following first, once its `go` is readable.
  int go = -1;
  std::uint32_t polls = 0;  // takes so many outcomes, one at a time; the library has found them all by then
  bool calls = false;       // then asks one more with tmx_call
  bool cancels = false;     // first cancels all
};

// In config.groups[group].
AuthorizerOrder authorizer_order(const config::Config& config, std::size_t group = 0);

struct AuthorizerReport {
  std::uint64_t submitted = 0;
  std::uint64_t answered = 0;
  std::uint64_t not_sent = 0;
  std::uint64_t maybe_sent = 0;
  std::uint64_t overdue = 0;        // of maybe_sent: by the deadline
  std::uint64_t late = 0;           // notices
  std::array<char, 128> trouble{};  // what must not be, in words
};

class Authorizer {
 public:
  explicit Authorizer(const AuthorizerOrder& order);

  // Of one that stands still: returns once it does, with what it has submitted.
  AuthorizerReport await_standing_still();
  // SIGKILL, and waits for the end.
  void kill();
  // Waits for the end of its work. Fails the test when there is no report or anything is wrong with it.
  AuthorizerReport report();

 private:
  AuthorizerReport read_report();

  AuthorizerOrder order_;
  shm::UniqueFd reading_;
  std::unique_ptr<ChildProcess> process_;
};

// A process of config.groups[group] submits so many requests, and once `all_is_there` returns it has its library find all
// outcomes, but polls only so many. With `cancels` it cancels them all before, with `calls` it asks one more afterwards,
// which it sees. Then it is killed.
struct HalfSeen {
  std::uint32_t requests = 0;
  std::uint32_t polls = 0;
  bool calls = false;
  bool cancels = false;
  std::uint32_t timeout_ms = 60'000;
};
void die_with_unseen_outcomes(const config::Config& config, const HalfSeen& order,
                              const std::function<void()>& all_is_there);

// A process of config.groups[group] submits so many requests, takes no outcome, and is killed once `before_death` is
// over; without it, the engine may not even have taken them yet. Returns how many it was.
std::uint64_t die_with_open_requests(const config::Config& config, std::size_t group, std::uint32_t requests,
                                     std::uint32_t timeout_ms, const std::function<void()>& before_death = {});

}  // namespace tlsmux::test
