#pragma once

// A terminal's other screen, for a report that is drawn again and again (XTerm control sequences, which every terminal
// emulator of today follows).

#include <cstddef>
#include <string>
#include <string_view>

namespace tlsmux::client::cli {

// What fits: that many lines and columns. Where lines are left out the last one says how many.
std::string fitted(std::string_view text, std::size_t lines, std::size_t columns);

// Leaves when it is destroyed; the terminal then shows what it showed before.
class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // Writes it to standard output in the place of what is there. ASCII only.
  void draw(std::string_view text);
};

}  // namespace tlsmux::client::cli
