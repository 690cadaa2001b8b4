#include "config/wording.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <vector>

namespace tlsmux::config {
namespace {

constexpr std::size_t kShownBytesMax = 80;

bool is_control(char character) { return static_cast<unsigned char>(character) < 0x20 || character == 0x7f; }

bool is_continuation(char character) { return (static_cast<unsigned char>(character) & 0xc0) == 0x80; }

// Edit distance of Levenshtein, in which exchanging two neighbours counts as one edit as well.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  std::size_t shown = std::min(text.size(), kShownBytesMax);
  while (shown > 0 && shown < text.size() && is_continuation(text[shown])) --shown;
  std::string result;
  for (const char character : text.substr(0, shown)) {
    if (is_control(character)) {
      const auto byte = static_cast<unsigned char>(character);
      result += std::string("\\u00") + kHexDigits[byte >> 4] + kHexDigits[byte & 15];
    } else {
      result += character;
    }
  }
  if (shown < text.size()) result += "...";
  return result;
}

std::string in_quotes(std::string_view text) { return "\"" + printable(text) + "\""; }

std::string one_of(std::span<const std::string_view> words) {
  std::string result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) result += i + 1 == words.size() ? " or " : ", ";
    result += in_quotes(words[i]);
  }
  return result;
}

std::optional<std::string_view> nearest(std::string_view text, std::span<const std::string_view> words) {
  constexpr std::size_t kComparedBytesMax = 64;
  if (text.size() > kComparedBytesMax) return std::nullopt;
  std::optional<std::string_view> best;
  std::size_t best_distance = 0;
  for (const std::string_view word : words) {
    const std::size_t distance = edit_distance(text, word);
    // Up to two slips, or one in three characters; in short words less, else anything would resemble
    // anything.
    const std::size_t near = word.size() <= 4 ? 1 : std::max<std::size_t>(2, word.size() / 3);
    if (distance <= near && distance < word.size() && (!best || distance < best_distance)) {
      best = word;
      best_distance = distance;
    }
  }
  return best;
}

std::string suggestion(std::string_view text, std::span<const std::string_view> words) {
  if (const auto word = nearest(text, words)) return "did you mean " + in_quotes(*word) + "?";
  return "give " + one_of(words);
}

}  // namespace tlsmux::config
