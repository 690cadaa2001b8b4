#include "tests/system/log_reader.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <doctest/doctest.h>

#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

constexpr int kPipeBytes = 1 << 20;
constexpr std::size_t kLastBytes = 8192;  // kept for a failure's message

// Calls `found` with each whole line that holds `text`, until it returns true.
template <typename Found>
void find_lines(std::string_view lines, std::string_view text, Found found) {
  for (std::size_t end = lines.find('\n'); end != std::string_view::npos; end = lines.find('\n')) {
    const auto line = lines.substr(0, end);
    if (line.find(text) != std::string_view::npos && found(line)) return;
    lines.remove_prefix(end + 1);
  }
}

}  // namespace

LogReader::LogReader() {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  reading_.reset(ends[0]);
  writing_.reset(ends[1]);
  ::fcntl(writing_.get(), F_SETPIPE_SZ, kPipeBytes);  // less will mostly do
  REQUIRE(::fcntl(reading_.get(), F_SETFL, O_NONBLOCK) == 0);
}

std::string LogReader::wait_for(std::string_view text, std::size_t occurrence) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  std::string line;
  while (true) {
    std::size_t seen = 0;
    find_lines(std::string_view(text_).substr(begin_), text, [&](std::string_view one) {
      if (++seen == occurrence) line = one;
      return seen == occurrence;
    });
    if (seen == occurrence) return line;
    if (std::chrono::steady_clock::now() > until) {
      FAIL("no line ", occurrence, " with \"", text, "\" in the log, which ends:\n", last_lines());
    }
    read_some(100);
  }
}

std::size_t LogReader::count(std::string_view text) {
  read_some(0);
  std::size_t seen = 0;
  find_lines(std::string_view(text_).substr(begin_), text, [&](std::string_view) {
    ++seen;
    return false;
  });
  return seen;
}

std::vector<std::string> LogReader::lines_with(std::string_view text) {
  read_some(0);
  std::vector<std::string> lines;
  find_lines(std::string_view(text_).substr(begin_), text, [&](std::string_view line) {
    lines.emplace_back(line);
    return false;
  });
  return lines;
}

void LogReader::forget() {
  text_ = last_lines();
  begin_ = text_.size();
}

std::string LogReader::last_lines() {
  read_some(0);
  return text_.substr(text_.size() - std::min(text_.size(), kLastBytes));
}

void LogReader::read_some(int timeout_ms) {
  pollfd wanted{.fd = reading_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&wanted, 1, timeout_ms) <= 0) return;
  std::array<char, 65536> buffer{};
  ssize_t size = 0;
  while ((size = ::read(reading_.get(), buffer.data(), buffer.size())) > 0) {
    text_.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace tlsmux::test
