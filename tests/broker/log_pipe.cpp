#include "tests/broker/log_pipe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#include <doctest/doctest.h>

namespace tlsmux::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{20};

int left_ms(Clock::time_point until) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count());
}

}  // namespace

LogPipe::LogPipe() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  reading_.reset(ends[0]);
  writing_.reset(ends[1]);
}

shm::UniqueFd LogPipe::take_writing_end() { return std::move(writing_); }

std::string LogPipe::wait_for(std::string_view text) {
  const auto until = Clock::now() + kPatience;
  while (true) {
    const auto end = unread_.find('\n');
    if (end != std::string::npos) {
      auto line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      seen_ += line + "\n";
      if (line.find(text) != std::string::npos) return line;
      continue;
    }
    const bool more = left_ms(until) > 0 && read_more(left_ms(until));
    if (!more) FAIL("no line with \"", text, "\" in the log:\n", seen_, unread_);
  }
}

std::string LogPipe::rest() {
  const auto until = Clock::now() + kPatience;
  while (left_ms(until) > 0 && read_more(left_ms(until))) continue;
  CHECK_MESSAGE(left_ms(until) > 0, "the log does not end:\n", seen_, unread_);
  seen_ += unread_;
  return std::exchange(unread_, {});
}

bool LogPipe::read_more(int timeout_ms) {
  pollfd wanted{.fd = reading_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&wanted, 1, timeout_ms) <= 0) return false;
  std::array<char, 4096> buffer{};
  const auto size = ::read(reading_.get(), buffer.data(), buffer.size());
  if (size <= 0) return false;
  unread_.append(buffer.data(), static_cast<std::size_t>(size));
  return true;
}

std::string value_in(std::string_view line, std::string_view key) {
  const auto wanted = " " + std::string(key) + "=";
  const auto at = line.find(wanted);
  if (at == std::string_view::npos) return {};
  const auto begin = at + wanted.size();
  if (line[begin] == '"') return std::string(line.substr(begin + 1, line.find('"', begin + 1) - begin - 1));
  return std::string(line.substr(begin, line.find(' ', begin) - begin));
}

}  // namespace tlsmux::test
