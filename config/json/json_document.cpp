#include "config/json/json_document.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/json/json_pointer.hpp"
#include "config/limits.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

using Json = nlohmann::json;

ConfigError error_at(std::string_view text, std::size_t offset, std::string message) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = static_cast<std::uint32_t>(std::ranges::count(before, '\n'));
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  const auto column = static_cast<std::uint32_t>(before.size() - line_start + 1);
  return {.pointer = "", .message = std::move(message), .line = lines + 1, .column = column};
}

// Of "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing value -
// reason; last read: 'x'", the reason. What was last read may be long and is not always UTF-8; line and
// column tell as much.
std::string reason_of(std::string_view what) {
  if (const std::size_t last_read = what.find("; last read: "); last_read != std::string_view::npos) {
    const std::size_t expected = what.rfind("; expected ");
    const bool has_expected = expected != std::string_view::npos && expected > last_read;
    const std::string tail(has_expected ? what.substr(expected) : std::string_view{});
    return reason_of(std::string(what.substr(0, last_read)) + tail);
  }
  for (const std::string_view mark : {" - ", "] "}) {
    if (const std::size_t at = what.find(mark); at != std::string_view::npos)
      return std::string(what.substr(at + mark.size()));
  }
  return std::string(what);
}

// Receives what nlohmann's parser finds, in order, and builds the document.
class DocumentBuilder : public nlohmann::json_sax<Json> {
 public:
  explicit DocumentBuilder(std::string_view text) : text_(text) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& /*digits*/) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }  // not in JSON texts

  bool start_object(std::size_t /*elements*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*elements*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    level.key = std::move(name);
    if (level.value.contains(level.key)) {
      document_.errors.push_back({.pointer = pointer(), .message = "this key stands here twice; keep one of the two"});
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& error) override {
    const std::size_t offset = position == 0 ? 0 : position - 1;
    const std::string reason = reason_of(error.what());
    fail(offset, "not valid JSON: " + reason + hint(reason, offset));
    return false;
  }

  std::expected<JsonDocument, ConfigErrors> take(bool complete) && {
    if (!complete) return std::unexpected(std::move(document_.errors));
    return std::move(document_);
  }

 private:
  struct Level {
    Json value;
    std::string key;  // of the member being read, in an object
  };

  [[nodiscard]] std::string pointer() const {
    std::string result;
    for (const Level& level : levels_) {
      result = level.value.is_object() ? pointer_to(result, level.key) : pointer_to(result, level.value.size());
    }
    return result;
  }

  void fail(std::size_t offset, std::string message) {
    document_.errors.push_back(error_at(text_, offset, std::move(message)));
  }

  bool add(Json value) {
    if (levels_.empty()) {
      document_.root = std::move(value);
    } else if (Level& level = levels_.back(); level.value.is_object()) {
      level.value[level.key] = std::move(value);
    } else {
      level.value.push_back(std::move(value));
    }
    return true;
  }

  bool open(Json empty) {
    if (levels_.size() == kConfigDepthMax) {
      document_.errors.push_back({.pointer = pointer(),
                                  .message = "objects and arrays lie more than " + std::to_string(kConfigDepthMax) +
                                             " deep within each other here; no setting does"});
      return false;
    }
    levels_.push_back({.value = std::move(empty), .key = {}});
    return true;
  }

  bool close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    return add(std::move(value));
  }

  // What to do about the slips made most often.
  [[nodiscard]] std::string hint(std::string_view reason, std::size_t offset) const {
    if (reason.starts_with("invalid literal")) return "; a text stands in double quotes";
    if (offset >= text_.size() || (text_[offset] != '}' && text_[offset] != ']')) return "";
    const std::size_t before = text_.substr(0, offset).find_last_not_of(" \t\r\n");
    const bool comma = before != std::string_view::npos && text_[before] == ',';
    return comma ? std::string("; remove the comma before this '") + text_[offset] + "'" : "";
  }

  std::string_view text_;
  std::vector<Level> levels_;
  JsonDocument document_;
};

}  // namespace

std::expected<JsonDocument, ConfigErrors> parse_json(std::string_view text) {
  // To nlohmann's lexer a NUL byte is the end, and whatever follows it would go unread.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return std::unexpected(ConfigErrors{error_at(text, nul, "NUL byte; the file must be plain UTF-8 text")});
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return std::unexpected(ConfigErrors{
        error_at(text, 0, "the file is empty; it must hold an object with at least \"groups\" and \"upstreams\"")});
  }
  DocumentBuilder builder(text);
  const bool complete = Json::sax_parse(text, &builder, Json::input_format_t::json, true, true);
  return std::move(builder).take(complete);
}

}  // namespace tlsmux::config
