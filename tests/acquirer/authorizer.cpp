#include "tests/acquirer/authorizer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <doctest/doctest.h>

#include "tests/acquirer/terminal.hpp"
#include "tests/host/test_messages.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

constexpr int kPauseMs = 20;  // of an application that was told NOT_SENT, before it asks again

[[noreturn]] void fail(const std::string& what, int error = 0) {
  throw std::runtime_error(error == 0 ? what : what + ": " + tmx_error_text(error));
}

void check(int error, const char* what) {
  if (error < 0) fail(what, error);
}

bool is_passing(int error) { return error == -EAGAIN || error == -ENOTCONN || error == -ESTALE; }

// Its tags are its trace numbers.
class Work {
 public:
  Work(const AuthorizerOrder& order, int writing) : order_(order), writing_(writing) {}

  void run() {
    attach();
    while (!is_over()) {
      submit_some();
      if (order_.stands_still && is_all_submitted()) {
        if (order_.go >= 0) see_some();
        stand_still();
      }
      take_some();
    }
    check(tmx_channel_close(channel_), "close");
    check(tmx_detach(client_), "detach");
  }
  AuthorizerReport& report() { return report_; }

 private:
  void attach();
  void submit_some();
  bool submit_one();
  void take_some();
  void take(const tmx_completion& completion);
  void take_outcome(const tmx_completion& completion);
  void see_some();
  [[noreturn]] void stand_still();
  // Until there is news, or it is told to stop.
  void wait();
  [[nodiscard]] bool is_all_submitted() const {
    return is_told_to_stop_ || (order_.requests > 0 && report_.submitted >= order_.requests);
  }
  [[nodiscard]] bool is_over() const {
    return is_all_submitted() && open_ == 0 && (!order_.asks_for_late_answers || report_.late >= report_.overdue);
  }

  const AuthorizerOrder& order_;
  int writing_;
  AuthorizerReport report_;
  tmx_client* client_ = nullptr;
  tmx_channel* channel_ = nullptr;
  std::uint64_t open_ = 0;
  std::vector<std::uint32_t> traces_;  // to be cancelled
  bool is_told_to_stop_ = false;
  bool was_refused_ = false;
  std::chrono::steady_clock::time_point progress_ = std::chrono::steady_clock::now();
};

void Work::attach() {
  tmx_attach_options options{};
  options.struct_bytes = sizeof options;
  options.group = order_.group.c_str();
  options.control_socket = order_.control_socket.c_str();
  options.timeout_ms = 20'000;
  check(tmx_attach(&options, &client_), "attach");
  tmx_channel_options channel_options{};
  channel_options.struct_bytes = sizeof channel_options;
  channel_options.flags = order_.asks_for_late_answers ? std::uint32_t{TMX_LATE_ANSWERS} : 0;
  check(tmx_channel_open_with(client_, "acquirer", &channel_options, &channel_), "open");
}

void Work::submit_some() {
  while (open_ < order_.in_flight_max && !is_all_submitted() && submit_one()) continue;
}

bool Work::submit_one() {
  tmx_buffer buffer{};
  int error = tmx_reserve(channel_, &buffer);
  if (is_passing(error)) return false;
  check(error, "reserve");
  std::uint32_t trace = 0;
  check(tmx_next_trace_number(channel_, &trace), "trace number");
  const auto message = host::request(trace);
  std::memcpy(buffer.data, message.data(), message.size());
  error = tmx_submit(channel_, &buffer, static_cast<std::uint32_t>(message.size()), trace, order_.timeout_ms);
  if (error != 0) check(tmx_abandon(channel_, &buffer), "abandon");
  if (is_passing(error)) return false;
  check(error, "submit");
  ++report_.submitted;
  ++open_;
  if (order_.cancels) traces_.push_back(trace);
  return true;
}

void Work::take_some() {
  wait();
  std::array<tmx_completion, 16> completions;
  int taken = 0;
  while ((taken = tmx_poll(channel_, completions.data(), completions.size(), 0)) > 0) {
    for (int i = 0; i < taken; ++i) take(completions[static_cast<std::size_t>(i)]);
    progress_ = std::chrono::steady_clock::now();
  }
  check(taken, "poll");
  if (std::chrono::steady_clock::now() - progress_ > kPatience) fail("nothing comes any more");
}

void Work::take(const tmx_completion& completion) {
  if (completion.kind == TMX_OUTCOME) {
    take_outcome(completion);
  } else if (completion.kind == TMX_LATE && order_.asks_for_late_answers) {
    ++report_.late;
  } else {
    fail("a notice that it did not ask for");
  }
  const std::string_view answer(static_cast<const char*>(completion.data), completion.length);
  if (!answer.empty() && !is_answer_to(std::string(answer), static_cast<std::uint32_t>(completion.tag))) {
    fail("an answer that is not the request's");
  }
  check(tmx_release(channel_, &completion), "release");
}

void Work::take_outcome(const tmx_completion& completion) {
  if (open_ == 0) fail("an outcome of no open request");
  --open_;
  was_refused_ = completion.outcome == TMX_NOT_SENT;
  switch (completion.outcome) {
    case TMX_ANSWERED: ++report_.answered; break;
    case TMX_NOT_SENT: ++report_.not_sent; break;
    case TMX_MAYBE_SENT:
      ++report_.maybe_sent;
      report_.overdue += completion.reason == TMX_REASON_DEADLINE ? 1 : 0;
      break;
    default: fail("no outcome that there is");
  }
}

void Work::see_some() {
  if (::write(writing_, &report_, sizeof report_) != sizeof report_) fail("nobody listens");
  pollfd go{.fd = order_.go, .events = POLLIN, .revents = 0};
  ::poll(&go, 1, -1);
  if (order_.cancels) {
    for (const auto trace : traces_) check(tmx_cancel(channel_, trace), "cancel");
  }
  for (std::uint32_t i = 0; i < order_.polls; ++i) {
    tmx_completion completion;
    if (tmx_poll(channel_, &completion, 1, order_.timeout_ms) != 1) fail("an outcome is missing");
    take(completion);
  }
  if (!order_.calls) return;
  std::uint32_t trace = 0;
  check(tmx_next_trace_number(channel_, &trace), "trace number");
  const auto request = host::request(trace);
  std::array<char, 1024> answer;
  tmx_result result{};
  check(tmx_call(channel_, request.data(), static_cast<std::uint32_t>(request.size()), answer.data(), answer.size(), 0,
                 &result),
        "call");
  if (result.outcome != TMX_ANSWERED) fail("the call was not answered");
}

void Work::stand_still() {
  if (::write(writing_, &report_, sizeof report_) != sizeof report_) fail("nobody listens");
  while (true) ::poll(nullptr, 0, -1);
}

void Work::wait() {
  std::array<pollfd, 2> wanted{
      pollfd{.fd = is_told_to_stop_ ? -1 : order_.stop, .events = POLLIN, .revents = 0},
      pollfd{.fd = was_refused_ ? -1 : tmx_channel_descriptor(channel_), .events = POLLIN, .revents = 0}};
  ::poll(wanted.data(), wanted.size(), was_refused_ ? kPauseMs : 1000);
  was_refused_ = false;
  if (wanted[0].revents != 0) is_told_to_stop_ = true;
}

int run_child(const AuthorizerOrder& order, int writing) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Work work(order, writing);
  auto& report = work.report();
  try {
    work.run();
  } catch (const std::exception& trouble) {
    const std::string_view words(trouble.what());
    std::memcpy(report.trouble.data(), words.data(), std::min(words.size(), report.trouble.size() - 1));
  }
  return ::write(writing, &report, sizeof report) == sizeof report ? 0 : 97;
}

}  // namespace

AuthorizerOrder authorizer_order(const config::Config& config, std::size_t group) {
  AuthorizerOrder order;
  order.control_socket = config.engine.control_socket;
  order.group = config.groups[group].name;
  return order;
}

Authorizer::Authorizer(const AuthorizerOrder& order) : order_(order) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  reading_.reset(ends[0]);
  const shm::UniqueFd writing(ends[1]);
  process_ = std::make_unique<ChildProcess>([&] { return run_child(order_, writing.get()); });
}

AuthorizerReport Authorizer::read_report() {
  AuthorizerReport report;
  REQUIRE(::read(reading_.get(), &report, sizeof report) == sizeof report);
  CHECK_MESSAGE(report.trouble[0] == '\0', report.trouble.data());
  return report;
}

AuthorizerReport Authorizer::await_standing_still() { return read_report(); }

void Authorizer::kill() {
  process_->send_signal(SIGKILL);
  CHECK(process_->wait() == 128 + SIGKILL);
}

AuthorizerReport Authorizer::report() {
  const auto report = read_report();
  CHECK(process_->wait() == 0);
  CHECK(report.answered + report.not_sent + report.maybe_sent == report.submitted);
  return report;
}

void die_with_unseen_outcomes(const config::Config& config, const HalfSeen& half,
                              const std::function<void()>& all_is_there) {
  auto order = authorizer_order(config);
  order.requests = order.in_flight_max = half.requests;
  order.timeout_ms = half.timeout_ms;
  order.stands_still = true;
  order.polls = half.polls;
  order.calls = half.calls;
  order.cancels = half.cancels;
  const shm::UniqueFd go(::eventfd(0, EFD_CLOEXEC));
  order.go = go.get();
  Authorizer doomed(order);
  REQUIRE(doomed.await_standing_still().submitted == half.requests);
  all_is_there();
  REQUIRE(::eventfd_write(go.get(), 1) == 0);
  doomed.await_standing_still();
  doomed.kill();
}

std::uint64_t die_with_open_requests(const config::Config& config, std::size_t group, std::uint32_t requests,
                                     std::uint32_t timeout_ms, const std::function<void()>& before_death) {
  auto order = authorizer_order(config, group);
  order.requests = order.in_flight_max = requests;
  order.timeout_ms = timeout_ms;
  order.stands_still = true;
  Authorizer doomed(order);
  const auto submitted = doomed.await_standing_still().submitted;
  if (before_death) before_death();
  doomed.kill();
  return submitted;
}

}  // namespace tlsmux::test
