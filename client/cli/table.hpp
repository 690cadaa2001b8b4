#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::client::cli {

// Columns as wide as their widest cell. One of numbers (digits alone, or "-" for none) stands right.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text(std::string_view indent = "") const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// For words that come from other processes: control bytes and what is no printable ASCII become \xNN.
std::string escaped(std::string_view words);
// The same of a text of several lines: their ends stay.
std::string escaped_lines(std::string_view text);

}  // namespace tlsmux::client::cli
