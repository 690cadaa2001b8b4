#include "engine/confinement/breach.hpp"

#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "engine/confinement/call_filter.hpp"

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1  // si_code of SIGSYS by a filter
#endif

namespace tlsmux::engine::confinement {
namespace {

constexpr std::size_t kCalls = 1024;
constexpr std::size_t kNameBytesMax = 32;

// What the signal handler reads: filled before the handler is set. An engine fills it again, with the same names and
// while it has one thread.
struct Prepared {
  int log_output = -1;
  std::array<std::array<char, kNameBytesMax>, kCalls> names{};  // ended by a zero; empty: unknown
};
Prepared prepared;
thread_local std::string_view thread_name = "main";

// Text for a signal handler: no allocation, no locale. What does not fit is cut off.
class Line {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      if (size_ < bytes_.size()) bytes_[size_++] = c;
    }
  }
  void add(std::int64_t number, std::size_t digits_min = 1) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    const auto count = static_cast<std::size_t>(end - digits.data());
    for (auto i = count; i < digits_min; ++i) add("0");
    add({digits.data(), count});
  }
  void write_to(int output) const { [[maybe_unused]] const auto written = ::write(output, bytes_.data(), size_); }

 private:
  std::array<char, 512> bytes_{};
  std::size_t size_ = 0;
};

// As the log's other lines begin.
void add_start(Line& line) {
  using namespace std::chrono;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const sys_seconds second{seconds(now.tv_sec)};
  const auto day = floor<days>(second);
  const year_month_day date{day};
  const hh_mm_ss time{second - day};
  const auto part = [&](std::int64_t number, std::size_t digits, std::string_view then) {
    line.add(number, digits);
    line.add(then);
  };
  part(int{date.year()}, 4, "-");
  part(unsigned{date.month()}, 2, "-");
  part(unsigned{date.day()}, 2, "T");
  part(time.hours().count(), 2, ":");
  part(time.minutes().count(), 2, ":");
  part(time.seconds().count(), 2, ".");
  part(now.tv_nsec / 1'000'000, 3, "Z level=error event=");
}

[[noreturn]] void end_with(const Line& line) {
  line.write_to(prepared.log_output);
  std::abort();
}

void on_breach(int /*signal*/, siginfo_t* information, void* /*context*/) {
  const int number = information->si_syscall;
  Line line;
  add_start(line);
  line.add("confinement_breach call=");
  const bool has_name = number >= 0 && static_cast<std::size_t>(number) < kCalls &&
                        prepared.names[static_cast<std::size_t>(number)].front() != '\0';
  line.add(has_name ? prepared.names[static_cast<std::size_t>(number)].data() : "unknown");
  line.add(" number=");
  line.add(number);
  line.add(" thread=");
  line.add(thread_name);
  line.add(information->si_code == SYS_SECCOMP ? "\n" : " by=signal\n");
  end_with(line);
}

}  // namespace

std::expected<void, shm::SystemError> watch_for_breaches(int log_output) {
  prepared.log_output = log_output;
  for (std::size_t number = 0; number < kCalls; ++number) {
    const auto name = name_of_call(static_cast<int>(number));
    name.copy(prepared.names[number].data(), kNameBytesMax - 1);
  }
  struct sigaction action{};
  action.sa_sigaction = on_breach;
  // A breach in the handler ends the process too.
  action.sa_flags = static_cast<int>(SA_SIGINFO | SA_NODEFER | SA_RESETHAND);
  if (::sigaction(SIGSYS, &action, nullptr) == 0) return {};
  return std::unexpected(shm::last_error("watching for breaches of the confinement"));
}

void name_this_thread(std::string_view name) { thread_name = name; }

void abort_unconfined(int error) {
  Line line;
  add_start(line);
  line.add("thread_not_confined thread=");
  line.add(thread_name);
  line.add(" errno=");
  line.add(error);
  line.add("\n");
  end_with(line);
}

}  // namespace tlsmux::engine::confinement
