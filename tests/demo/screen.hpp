#pragma once

// Standard output: lines that stay and, on a terminal, a block below them that is drawn again and again.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::demo {

class Screen {
 public:
  Screen();
  // Takes the block away.
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // Whether there is a block; else nothing is ever drawn twice.
  [[nodiscard]] bool is_live() const { return live_; }

  // A line that stays. Throws std::runtime_error when nobody reads the output any more, as the next two do.
  void say(std::string_view line);
  // Replaces the block. Requires is_live(). Lines are cut at the edge of the terminal.
  void show(const std::vector<std::string>& block);
  void remove_block();

  // The text as it is, unless the terminal shows colours.
  [[nodiscard]] std::string bold(std::string_view text) const { return styled("1", text); }
  [[nodiscard]] std::string dim(std::string_view text) const { return styled("2", text); }
  [[nodiscard]] std::string good(std::string_view text) const { return styled("32", text); }
  [[nodiscard]] std::string bad(std::string_view text) const { return styled("31", text); }

  // So much of `width` columns.
  [[nodiscard]] std::string bar(double share, std::size_t width) const;

 private:
  [[nodiscard]] std::string styled(std::string_view code, std::string_view text) const;
  [[nodiscard]] std::string erased_block() const;
  static void write(std::string_view text);

  bool live_ = false;
  bool coloured_ = false;
  bool utf8_ = false;
  std::size_t block_lines_ = 0;
};

}  // namespace tlsmux::demo
