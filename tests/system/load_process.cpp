#include "tests/system/load_process.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>

#include <doctest/doctest.h>

#include "shm/outcome.hpp"
#include "tests/support/seed.hpp"
#include "tests/system/leaks.hpp"

namespace tlsmux::test {
namespace {

void add_counts(std::string& words, const char* outcome, const std::array<std::uint64_t, 64>& counts) {
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    words += std::string(" ") + outcome + "(" + std::string(shm::reason_name(static_cast<shm::Reason>(i))) + ")=";
    words += std::to_string(counts[i]);
  }
}

int run_child(const LoadOrder& order, int writing) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto report = run_load(order);
  if (::write(writing, &report, sizeof report) != sizeof report) return 97;
  return has_leaks() ? 96 : 0;
}

}  // namespace

StopSign::StopSign() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { REQUIRE(fd_); }

void StopSign::raise() const {
  const std::uint64_t one = 1;
  REQUIRE(::write(fd_.get(), &one, sizeof one) == sizeof one);
}

LoadOrder load_order(const config::Config& config, std::uint32_t client) {
  LoadOrder order;
  order.control_socket = config.engine.control_socket;
  order.group = config.groups[0].name;
  order.seed = seed();
  order.client = client;
  return order;
}

LoadProcess::LoadProcess(const LoadOrder& order) : order_(order) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  reading_.reset(ends[0]);
  const shm::UniqueFd writing(ends[1]);
  process_ = std::make_unique<ChildProcess>([&] { return run_child(order_, writing.get()); });
}

void LoadProcess::kill() {
  process_->send_signal(SIGKILL);
  CHECK(process_->wait() == 128 + SIGKILL);
}

LoadReport LoadProcess::report() {
  LoadReport report;
  const bool whole = ::read(reading_.get(), &report, sizeof report) == sizeof report;
  const int code = process_->wait();
  REQUIRE_MESSAGE(whole, "client ", order_.client, " died without a report, exit code ", code);
  CHECK_MESSAGE(code == 0, "client ", order_.client);
  CHECK_MESSAGE(report.trouble == LoadTrouble::none, "client ", order_.client, ", trouble ",
                static_cast<std::uint32_t>(report.trouble), ", error ", report.error, ": ", words_of(report));
  CHECK_MESSAGE(report.outcomes() == report.submitted, "client ", order_.client, ": ", words_of(report));
  return report;
}

std::string words_of(const LoadReport& report) {
  std::string words = "submitted=" + std::to_string(report.submitted) + " answered=" + std::to_string(report.answered) +
                      " refused=" + std::to_string(report.refused_submissions);
  add_counts(words, "not_sent", report.not_sent_reasons);
  add_counts(words, "maybe_sent", report.maybe_sent_reasons);
  return words;
}

}  // namespace tlsmux::test
