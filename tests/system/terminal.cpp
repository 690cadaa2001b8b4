#include "tests/system/terminal.hpp"

#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <string_view>

#include <doctest/doctest.h>

#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

// XTerm control sequences.
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";
constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kInterrupt = "\x03";

[[noreturn]] void run(const std::vector<std::string>& command, const std::function<void()>& prepare) {
  prepare();
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

std::vector<std::string> lines_of(std::string_view drawn) {
  std::vector<std::string> lines;
  while (!drawn.empty()) {
    const auto end = drawn.find(kClearLine);
    REQUIRE(end != std::string_view::npos);
    lines.emplace_back(drawn.substr(0, end));
    CHECK(lines.back().find_first_of("\r\n\x1b") == std::string::npos);
    drawn.remove_prefix(end + kClearLine.size());
    if (drawn.starts_with(kLineEnd)) drawn.remove_prefix(kLineEnd.size());
  }
  return lines;
}

}  // namespace

Terminal::Terminal(const std::vector<std::string>& command, const std::function<void()>& prepare, unsigned short rows,
                   unsigned short columns) {
  winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  int other_end = -1;
  program_ = ::forkpty(&other_end, nullptr, nullptr, &size);
  if (program_ < 0) throw std::runtime_error(std::string("making a terminal: ") + std::strerror(errno));
  if (program_ == 0) run(command, prepare);
  keyboard_and_screen_.reset(other_end);
}

Terminal::~Terminal() {
  if (program_ < 0) return;
  ::kill(program_, SIGKILL);
  ::waitpid(program_, nullptr, 0);
}

bool Terminal::read_more() {
  constexpr int kPatienceMs = std::chrono::milliseconds(kPatience).count();
  pollfd readable{.fd = keyboard_and_screen_.get(), .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&readable, 1, kPatienceMs) == 1);
  std::array<char, 4096> part{};
  const auto got = ::read(keyboard_and_screen_.get(), part.data(), part.size());
  if (got <= 0) return false;  // EIO: nobody has the other end any more
  written_.append(part.data(), static_cast<std::size_t>(got));
  return true;
}

std::vector<std::string> Terminal::next_screen() {
  std::size_t end = std::string::npos;
  while ((end = written_.find(kClearBelow, drawn_)) == std::string::npos) REQUIRE(read_more());
  const auto begin = written_.find(kHome, drawn_);
  REQUIRE(begin < end);
  drawn_ = end + kClearBelow.size();
  return lines_of(std::string_view(written_).substr(begin + kHome.size(), end - begin - kHome.size()));
}

std::vector<std::string> Terminal::await_screen(const std::function<bool(const std::vector<std::string>&)>& wanted) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  auto lines = next_screen();
  while (!wanted(lines)) {
    REQUIRE(std::chrono::steady_clock::now() < until);
    lines = next_screen();
  }
  return lines;
}

void Terminal::resize(unsigned short rows, unsigned short columns) {
  const winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
  REQUIRE(::ioctl(keyboard_and_screen_.get(), TIOCSWINSZ, &size) == 0);
}

int Terminal::interrupt() {
  REQUIRE(::write(keyboard_and_screen_.get(), kInterrupt.data(), kInterrupt.size()) == 1);
  while (read_more()) {
  }
  int status = 0;
  REQUIRE(::waitpid(program_, &status, 0) == program_);
  program_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace tlsmux::test
