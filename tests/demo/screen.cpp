#include "tests/demo/screen.hpp"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace tlsmux::demo {
namespace {

// ECMA-48 control sequences.
constexpr std::string_view kHideCursor = "\x1b[?25l";
constexpr std::string_view kShowCursor = "\x1b[?25h";
constexpr std::string_view kEraseBelow = "\x1b[J";
constexpr std::string_view kEraseToRight = "\x1b[K";
constexpr std::string_view kPlain = "\x1b[0m";

std::size_t columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// As much of a line as fits: control sequences take no room, a character of several bytes (UTF-8) takes one column.
std::string_view fitting(std::string_view line, std::size_t width) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      i = std::min(line.find('m', i), line.size());
    } else if ((static_cast<unsigned char>(line[i]) & 0xc0) != 0x80 && ++used > width) {
      return line.substr(0, i);
    }
  }
  return line;
}

}  // namespace

Screen::Screen() {
  const char* terminal = std::getenv("TERM");
  live_ = ::isatty(STDOUT_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
  coloured_ = live_ && std::getenv("NO_COLOR") == nullptr;
  static_cast<void>(std::setlocale(LC_CTYPE, ""));
  utf8_ = std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
}

Screen::~Screen() {
  if (block_lines_ == 0) return;
  try {
    remove_block();
  } catch (const std::exception&) {  // nobody reads it
    return;
  }
}

void Screen::say(std::string_view line) {
  remove_block();
  write(std::string(line) + "\n");
}

void Screen::show(const std::vector<std::string>& block) {
  const auto width = columns();
  std::string text(kHideCursor);
  if (block_lines_ > 0) text += "\x1b[" + std::to_string(block_lines_) + "A\r";
  for (const auto& line : block) {
    text += fitting(line, width);
    if (coloured_) text += kPlain;
    text.append(kEraseToRight).append("\n");
  }
  text += kEraseBelow;
  block_lines_ = block.size();
  write(text);
}

void Screen::remove_block() {
  if (block_lines_ == 0) return;
  const auto text = erased_block() + std::string(kShowCursor);
  block_lines_ = 0;
  write(text);
}

std::string Screen::bar(double share, std::size_t width) const {
  const auto full = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  std::string done;
  std::string rest;
  for (std::size_t i = 0; i < full; ++i) done += utf8_ ? "━" : "=";
  for (std::size_t i = full; i < width; ++i) rest += utf8_ ? "─" : "-";
  return good(done) + dim(rest);
}

std::string Screen::styled(std::string_view code, std::string_view text) const {
  if (!coloured_ || text.empty()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + std::string(kPlain);
}

std::string Screen::erased_block() const {
  return "\x1b[" + std::to_string(block_lines_) + "A\r" + std::string(kEraseBelow);
}

void Screen::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw std::runtime_error("nobody reads the output");
  }
}

}  // namespace tlsmux::demo
