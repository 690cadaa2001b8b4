#include "client/cli/screen.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

namespace tlsmux::client::cli {
namespace {

constexpr const char* kEnter = "\x1b[?1049h\x1b[?25l";  // the other screen, without a cursor
constexpr const char* kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";

void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

std::string fitted(std::string_view text, std::size_t lines, std::size_t columns) {
  std::vector<std::string_view> all;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    all.push_back(text.substr(0, std::min(end, columns)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  std::string more;
  if (all.size() > lines && lines > 0) {
    more = "... and " + std::to_string(all.size() - lines + 1) + " lines that do not fit here";
    all.resize(lines);
    all.back() = std::string_view(more).substr(0, columns);
  }
  std::string page;
  for (const auto line : all) page += std::string(page.empty() ? "" : "\n") + std::string(line);
  return page;
}

Screen::Screen() { put(kEnter); }

Screen::~Screen() { put(kLeave); }

void Screen::draw(std::string_view text) {
  winsize size{};
  const bool is_known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
  const auto page = is_known ? fitted(text, size.ws_row, size.ws_col) : fitted(text, 24, 80);
  std::string drawn(kHome);
  for (const char c : page) {
    if (c == '\n') drawn += kClearLine;
    drawn += c;
  }
  put(drawn.append(kClearLine).append(kClearBelow));
}

}  // namespace tlsmux::client::cli
