#include "ports/services/services_line.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "config/check/value_rules.hpp"
#include "config/wording.hpp"

namespace tlsmux::ports {
namespace {

using config::in_quotes;
using config::PortProtocols;

constexpr std::string_view kBlanks = " \t\r";
constexpr std::string_view kDigits = "0123456789";

char lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
}

}  // namespace

bool is_same_word(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

std::size_t ServicesLine::offset() {
  at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size());
  return at_;
}

bool ServicesLine::at_end() { return offset() == text_.size() || is_at("#"); }

bool ServicesLine::is_at(std::string_view characters) const {
  return at_ < text_.size() && characters.contains(text_[at_]);
}

std::string_view ServicesLine::take_run(std::string_view stops) {
  const std::size_t begin = offset();
  while (at_ < text_.size() && !is_at(kBlanks) && !is_at("#\"") && !is_at(stops)) ++at_;
  return text_.substr(begin, at_ - begin);
}

Taken<std::string> ServicesLine::take_quoted() {
  const std::size_t begin = at_++;
  std::string word;
  for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
    const bool is_escape = text_[at_] == '\\' && at_ + 1 < text_.size();
    if (is_escape) ++at_;
    if (is_escape && !is_at("\"\\")) {
      return std::unexpected(LineFault{
          at_ - 1, "within quotation marks, a backslash stands before a quotation mark or another backslash only"});
    }
    word += text_[at_];
  }
  if (at_ == text_.size()) return std::unexpected(LineFault{begin, "the quotation mark at the end is missing"});
  ++at_;
  return word;
}

Taken<std::string> ServicesLine::take_word(std::string_view what) {
  const std::size_t begin = offset();
  if (at_end()) return std::unexpected(LineFault{begin, std::string(what) + " is missing"});
  if (!is_at("\"")) return std::string(take_run(""));
  auto word = take_quoted();
  if (word && word->empty()) return std::unexpected(LineFault{begin, std::string(what) + " is missing: this is empty"});
  return word;
}

Taken<std::uint16_t> ServicesLine::take_port() {
  const std::size_t begin = offset();
  const std::string_view digits = take_run("-/,[]");
  if (digits.empty()) return std::unexpected(LineFault{begin, "a port's number is missing"});
  std::uint64_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool is_number = end == digits.data() + digits.size() && error != std::errc::invalid_argument;
  if (!is_number || error == std::errc::result_out_of_range || port == 0 || port > 65535) {
    return std::unexpected(LineFault{
        begin, "a port must be " + config::expected_number(config::Range{1, 65535}) + ", is " + in_quotes(digits)});
  }
  return static_cast<std::uint16_t>(port);
}

Taken<PortProtocols> ServicesLine::take_protocol() {
  const std::size_t begin = offset();
  const std::string_view word = take_run(",");
  if (is_same_word(word, "tcp")) return PortProtocols::tcp;
  if (is_same_word(word, "udp")) return PortProtocols::udp;
  if (word.empty()) return std::unexpected(LineFault{begin, "the protocol is missing; give TCP, UDP or TCP,UDP"});
  return std::unexpected(LineFault{begin, in_quotes(word) + " is no protocol; give TCP, UDP or TCP,UDP"});
}

Taken<PortProtocols> ServicesLine::take_protocols() {
  auto protocols = take_protocol();
  while (protocols && take_sign(',')) {
    const auto another = take_protocol();
    if (!another) return another;
    if (*another != *protocols) protocols = PortProtocols::both;
  }
  return protocols;
}

bool ServicesLine::take_sign(char sign) {
  (void)offset();
  if (!is_at(std::string_view(&sign, 1))) return false;
  ++at_;
  return true;
}

bool ServicesLine::is_port_and_protocol() {
  const std::size_t begin = offset();
  const std::string_view digits = take_run("/");
  const bool is_number = !digits.empty() && digits.find_first_not_of(kDigits) == std::string_view::npos;
  const bool result = is_number && is_at("/");
  at_ = begin;
  return result;
}

}  // namespace tlsmux::ports
