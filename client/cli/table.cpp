#include "client/cli/table.hpp"

#include <algorithm>

namespace tlsmux::client::cli {
namespace {

bool is_number(const std::string& cell) {
  return !cell.empty() && std::ranges::all_of(cell, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::string Table::text(std::string_view indent) const {
  std::vector<std::size_t> widths(rows_.front().size());
  std::vector<bool> has_number(widths.size(), false);
  std::vector<bool> has_words(widths.size(), false);
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    for (std::size_t c = 0; c < widths.size(); ++c) {
      widths[c] = std::max(widths[c], rows_[r][c].size());
      if (r == 0) continue;
      if (is_number(rows_[r][c])) {
        has_number[c] = true;
      } else if (rows_[r][c] != "-") {
        has_words[c] = true;
      }
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line(indent);
    for (std::size_t c = 0; c < widths.size(); ++c) {
      if (c > 0) line += "  ";
      const std::string padding(widths[c] - row[c].size(), ' ');
      line += has_number[c] && !has_words[c] ? padding + row[c] : row[c] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string escaped(std::string_view words) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string plain;
  for (const char c : words) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '\\') {
      plain += c;
    } else {
      plain += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return plain;
}

std::string escaped_lines(std::string_view text) {
  std::string plain;
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    plain += escaped(text.substr(0, end)) + '\n';
    text.remove_prefix(end + 1);
  }
  return plain + escaped(text);
}

}  // namespace tlsmux::client::cli
