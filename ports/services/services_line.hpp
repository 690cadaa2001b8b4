#pragma once

// One line of a services file, taken apart from left to right.

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>

#include "config/config.hpp"

namespace tlsmux::ports {

struct LineFault {
  std::size_t offset = 0;  // in the line
  std::string message;
};

template <class Value>
using Taken = std::expected<Value, LineFault>;

class ServicesLine {
 public:
  // `text` is without the line feed, and must outlive this.
  explicit ServicesLine(std::string_view text) : text_(text) {}

  // Where the next word or sign begins; also past the last one.
  std::size_t offset();
  // Nothing more comes but a comment.
  bool at_end();
  // Goes back to what offset() gave.
  void go_to(std::size_t offset) { at_ = offset; }

  // `what` says in errors what is missing: "a label".
  Taken<std::string> take_word(std::string_view what);
  // Any digits; `what` is "the port".
  Taken<std::uint16_t> take_port();
  Taken<config::PortProtocols> take_protocols();
  // A single one.
  Taken<config::PortProtocols> take_protocol();
  bool take_sign(char sign);
  // Whether NUMBER/PROTOCOL comes next, as in /etc/services. Takes nothing.
  bool is_port_and_protocol();

 private:
  [[nodiscard]] bool is_at(std::string_view characters) const;
  // Up to a blank, a comment, or one of `stops`.
  std::string_view take_run(std::string_view stops);
  Taken<std::string> take_quoted();

  std::string_view text_;
  std::size_t at_ = 0;
};

// Without regard to case; of ASCII.
bool is_same_word(std::string_view a, std::string_view b);

}  // namespace tlsmux::ports
