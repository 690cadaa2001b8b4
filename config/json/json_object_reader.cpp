#include "config/json/json_object_reader.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <expected>
#include <limits>
#include <system_error>
#include <utility>

namespace tlsmux::config {
namespace {

using Json = nlohmann::json;

std::string shown(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object: return "an object";
    case Json::value_t::array: return "a list";
    case Json::value_t::string: return "the text " + in_quotes(value.get_ref<const std::string&>());
    case Json::value_t::null: return "null";
    default: return value.dump();  // a number, true or false
  }
}

std::expected<std::vector<std::uint8_t>, std::string> bytes_from_hex(std::string_view digits) {
  const auto value_of_digit = [](char digit) { return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10; };
  const std::size_t wrong = digits.find_first_not_of("0123456789abcdefABCDEF");
  if (wrong != std::string_view::npos) {
    return std::unexpected("must be hexadecimal digits, two for each byte; character " + std::to_string(wrong + 1) +
                           " is none");
  }
  if (digits.size() % 2 != 0) {
    return std::unexpected("must be two hexadecimal digits for each byte, is " + std::to_string(digits.size()) +
                           " digits long");
  }
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(value_of_digit(digits[i]) << 4 | value_of_digit(digits[i + 1])));
  }
  return bytes;
}

// A key such as "7": digits without leading zeros, so that no field can be named twice.
std::optional<std::uint32_t> field_number(std::string_view key) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  const bool whole = error == std::errc{} && end == key.data() + key.size() && !key.starts_with('0');
  if (!whole || number_problem(number, kFieldNumber)) return std::nullopt;
  return number;
}

}  // namespace

std::string wrong_type(std::string_view expected, const Json& found) {
  return "must be " + std::string(expected) + ", is " + shown(found);
}

const Json* ObjectReader::find(std::string_view key, Presence presence) {
  keys_.push_back(key);
  const auto found = object_.find(key);
  if (found != object_.end()) return &*found;
  if (presence == Presence::required) fail(key, "is missing, and has no default");
  return nullptr;
}

const Json* ObjectReader::find_list(std::string_view key, Presence presence, Range count, std::string_view of_what) {
  const Json* value = find(key, presence);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    fail(key, wrong_type("a list [ ... ]", *value));
    return nullptr;
  }
  report(key, count_problem(value->size(), count, of_what));
  return value;
}

std::optional<std::uint64_t> ObjectReader::find_number(std::string_view key, Range range, Presence presence) {
  const Json* value = find(key, presence);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) {
    const auto number = value->get<std::uint64_t>();
    if (report(key, number_problem(number, range))) return number;
    return std::nullopt;
  }
  const std::string without_quotes = value->is_string() ? " (without quotes)" : "";
  fail(key, wrong_type(expected_number(range) + without_quotes, *value));
  return std::nullopt;
}

std::optional<std::int64_t> ObjectReader::find_signed_number(std::string_view key, SignedRange range) {
  const Json* value = find(key, Presence::has_default);
  if (value == nullptr) return std::nullopt;
  const bool fits =
      value->is_number_integer() &&
      (!value->is_number_unsigned() || value->get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max());
  if (!fits) {
    const std::string without_quotes = value->is_string() ? " (without quotes)" : "";
    fail(key, wrong_type(expected_number(range) + without_quotes, *value));
    return std::nullopt;
  }
  const auto number = value->get<std::int64_t>();
  if (report(key, number_problem(number, range))) return number;
  return std::nullopt;
}

std::optional<std::size_t> ObjectReader::find_word(std::string_view key, const std::vector<std::string_view>& words) {
  const Json* value = find(key, Presence::has_default);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) {
    fail(key, wrong_type(one_of(words), *value));
    return std::nullopt;
  }
  const std::string_view text = value->get_ref<const std::string&>();
  const auto found = std::ranges::find(words, text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  fail(key, "must be " + one_of(words) + ", is " + in_quotes(text));
  return std::nullopt;
}

void ObjectReader::flag(std::string_view key, bool& field) {
  const Json* value = find(key, Presence::has_default);
  if (value == nullptr) return;
  if (!value->is_boolean()) return fail(key, wrong_type("true or false, without quotes", *value));
  field = value->get<bool>();
}

void ObjectReader::text(std::string_view key, std::string& field, TextKind kind, Presence presence) {
  const Json* value = find(key, presence);
  if (value == nullptr) return;
  if (!value->is_string()) return fail(key, wrong_type(std::string(expected_text(kind)) + " in quotes", *value));
  const auto& text = value->get_ref<const std::string&>();
  if (report(key, text_problem(kind, presence, text))) field = text;
}

void ObjectReader::texts(std::string_view key, std::vector<std::string>& fields, TextKind kind, Presence presence,
                         Range count) {
  const Json* list = find_list(key, presence, count, "texts");
  if (list == nullptr) return;
  fields.clear();
  const std::string pointer = pointer_to(pointer_, key);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& value = (*list)[i];
    std::string& field = fields.emplace_back();
    if (!value.is_string()) {
      const std::string expected = std::string(expected_text(kind)) + " in quotes";
      errors_.push_back({.pointer = pointer_to(pointer, i), .message = wrong_type(expected, value)});
    } else if (const auto& text = value.get_ref<const std::string&>();
               auto problem = text_problem(kind, Presence::has_default, text)) {
      errors_.push_back({.pointer = pointer_to(pointer, i), .message = std::move(*problem)});
    } else {
      field = text;
    }
  }
}

void ObjectReader::numbers(std::string_view key, std::vector<std::uint32_t>& fields, Presence presence, Range range,
                           Range count) {
  const Json* list = find_list(key, presence, count, "numbers");
  if (list == nullptr) return;
  fields.clear();
  const std::string pointer = pointer_to(pointer_, key);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const Json& value = (*list)[i];
    std::uint32_t& field = fields.emplace_back();
    Problem problem;
    if (!value.is_number_unsigned()) {
      problem = wrong_type(expected_number(range), value);
    } else if (const auto number = value.get<std::uint64_t>(); !(problem = number_problem(number, range))) {
      field = static_cast<std::uint32_t>(number);
    }
    if (problem) errors_.push_back({.pointer = pointer_to(pointer, i), .message = std::move(*problem)});
  }
}

void ObjectReader::field_values(std::string_view key, std::map<std::uint32_t, std::string>& values) {
  const Json* object = find(key, Presence::has_default);
  if (object == nullptr) return;
  if (!object->is_object()) {
    return fail(key, wrong_type(R"(an object of field numbers with their texts, as in { "70": "001" })", *object));
  }
  const std::string pointer = pointer_to(pointer_, key);
  for (const auto& [name, value] : object->items()) {
    const auto number = field_number(name);
    Problem problem;
    if (!number) {
      problem = "unknown key; give a field's number, \"" + std::to_string(kFieldNumberMin) + "\" to \"" +
                std::to_string(kFieldNumberMax) + "\"";
    } else if (!value.is_string()) {
      problem = wrong_type("a text in quotes", value);
    } else if (const auto& text = value.get_ref<const std::string&>(); !(problem = field_value_problem(text))) {
      values[*number] = text;
    }
    if (problem) errors_.push_back({.pointer = pointer_to(pointer, name), .message = std::move(*problem)});
  }
}

void ObjectReader::hex(std::string_view key, std::vector<std::uint8_t>& bytes, Range count) {
  const Json* value = find(key, Presence::has_default);
  if (value == nullptr) return;
  if (!value->is_string()) return fail(key, wrong_type("hexadecimal digits in quotes", *value));
  auto read = bytes_from_hex(value->get_ref<const std::string&>());
  if (!read) return fail(key, std::move(read.error()));
  if (report(key, count_problem(read->size(), count, "bytes"))) bytes = std::move(*read);
}

void ObjectReader::finish() {
  const auto is_in = [](const auto& keys, std::string_view key) { return std::ranges::find(keys, key) != keys.end(); };
  for (const auto& [key, value] : object_.items()) {
    if (!is_in(keys_, key) && !is_in(ignored_keys_, key)) fail(key, "unknown key; " + suggestion(key, keys_));
  }
}

void ObjectReader::fail(std::string_view key, std::string message) {
  errors_.push_back({.pointer = pointer_to(pointer_, key), .message = std::move(message)});
}

bool ObjectReader::report(std::string_view key, Problem problem) {
  if (!problem) return true;
  fail(key, std::move(*problem));
  return false;
}

}  // namespace tlsmux::config
