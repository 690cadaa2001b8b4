// The schema and the README say what the code does: the same keys, types, defaults, ranges and words.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/config/settings_list.hpp"

namespace tlsmux::config::test {
namespace {

using Json = nlohmann::json;

std::string source_file(const std::string& path) {
  const std::ifstream file(TLSMUX_SOURCE_FOLDER "/" + path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Flattens the schema to the form of SettingsList.
class SchemaLister {
 public:
  explicit SchemaLister(const Json& schema) : schema_(schema) { add("", schema); }
  [[nodiscard]] const SettingsList& list() const { return list_; }
  [[nodiscard]] const std::vector<std::string>& short_forms() const { return short_forms_; }

 private:
  // Follows a reference; of "a text or an object", takes the object. The result points into the schema.
  const Json* resolve(const std::string& path, const Json* node) {
    if (node->contains("$ref")) {
      return &schema_.at(Json::json_pointer(node->at("$ref").get<std::string>().substr(1)));
    }
    if (!node->contains("anyOf") || node->contains("properties")) return node;
    const Json* object = nullptr;
    for (const Json& choice : node->at("anyOf")) {
      if (choice.contains("properties")) {
        object = &choice;
      } else {
        CHECK(resolve(path, &choice)->at("type") == "string");
        short_forms_.push_back(path);
      }
    }
    REQUIRE(object != nullptr);
    return object;
  }

  void add(const std::string& path, const Json& unresolved) {
    const Json& node = *resolve(path, &unresolved);
    CAPTURE(path);
    CHECK((node.contains("description") || path.ends_with("[]")));
    if (node.contains("properties")) return add_object(path, node);
    Json leaf = node;
    for (const char* const key : {"description", "multipleOf", "uniqueItems"}) leaf.erase(key);
    if (leaf.contains("items")) {
      const Json& items = *resolve(path + "[]", &node.at("items"));
      if (items.contains("properties")) {
        add_object(path + "[]", items);
        leaf.erase("items");
      } else {
        leaf["items"].erase("description");
      }
    }
    list_[path] = leaf;
  }

  void add_object(const std::string& path, const Json& node) {
    CHECK(node.at("type") == "object");
    const std::string prefix = path.empty() ? "" : path + ".";
    std::vector<std::string> keys;
    for (const auto& [key, property] : node.at("properties").items()) {
      keys.push_back(key);
      if (key != "$schema") add(prefix + key, property);
    }
    auto required = node.value("required", std::vector<std::string>{});
    std::ranges::sort(required);
    list_[path + "{}"] = {{"keys", keys},
                          {"required", required},
                          {"additionalProperties", node.value("additionalProperties", Json(true))}};
  }

  const Json& schema_;
  SettingsList list_;
  std::vector<std::string> short_forms_;
};

void check_equal(const SettingsList& found, const SettingsList& expected) {
  for (const auto& [path, value] : expected) {
    CAPTURE(path);
    REQUIRE(found.contains(path));
    CHECK(found.at(path).dump() == value.dump());
  }
  for (const auto& [path, value] : found) {
    CAPTURE(path);
    CHECK(expected.contains(path));
  }
}

TEST_CASE("config.the schema agrees with the code") {
  const Json schema = Json::parse(source_file("config/tlsmux.schema.json"));
  const SchemaLister lister(schema);
  check_equal(lister.list(), settings_list());
  CHECK(lister.short_forms() == std::vector<std::string>{"upstreams[].endpoints[]", "upstreams[].framing"});
}

std::string without_spaces(std::string_view cell) {
  const std::size_t first = cell.find_first_not_of(' ');
  if (first == std::string_view::npos) return "";
  return std::string(cell.substr(first, cell.find_last_not_of(' ') - first + 1));
}

struct Row {
  std::string type;
  std::string by_default;
  std::string range;
};

// The rows of the README's table, by key.
std::map<std::string, Row> readme_rows() {
  std::map<std::string, Row> rows;
  std::istringstream text(source_file("config/README.md"));
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream row(line.substr(1));
    for (std::string cell; std::getline(row, cell, '|');) cells.push_back(without_spaces(cell));
    REQUIRE_MESSAGE(cells.size() == 5, line);
    const std::string key = cells[0].substr(1, cells[0].size() - 2);
    CHECK_MESSAGE(rows.emplace(key, Row{cells[1], cells[2], cells[3]}).second, line);
  }
  return rows;
}

std::string expected_range(const Json& setting) {
  const auto from_to = [](std::int64_t from, std::int64_t to) {
    return std::to_string(from) + " to " + std::to_string(to);
  };
  if (setting.contains("minimum")) return from_to(setting["minimum"], setting["maximum"]);
  if (setting["type"] == "array") {
    const std::string entries = from_to(setting.value("minItems", 0), setting["maxItems"]) + " entries";
    const Json items = setting.value("items", Json::object());
    return entries + (items.contains("minimum") ? ", " + from_to(items["minimum"], items["maximum"]) : "");
  }
  if (setting["type"] == "object") return from_to(0, setting["maxProperties"]) + " fields";
  if (setting.contains("minLength") && setting.contains("maxLength")) {
    return from_to(setting["minLength"], setting["maxLength"]) + " bytes";
  }
  std::string words;
  for (const Json& word : setting.value("enum", Json::array())) {
    words += (words.empty() ? "`" : ", `") + word.get<std::string>() + "`";
  }
  return words;
}

TEST_CASE("config.the README's table agrees with the code") {
  std::map<std::string, Row> rows = readme_rows();
  for (const auto& [path, setting] : settings_list()) {
    if (path.ends_with("{}") || path == "groups") continue;
    const std::string key = setting["type"] == "array" ? path + "[]" : path;
    CAPTURE(key);
    REQUIRE(rows.contains(key));
    const bool is_preset = path.ends_with(".preset");
    const std::string by_default = setting.contains("default") ? "`" + setting["default"].dump() + "`" : "required";
    CHECK(rows[key].by_default == (is_preset ? "" : by_default));
    CHECK(rows[key].range == expected_range(setting));
    rows.erase(key);
  }
  rows.erase("upstreams[].framing");  // a row for the short form
  for (const auto& [key, row] : rows) FAIL_CHECK("the README has a key that the code has not: " << key);
}

}  // namespace
}  // namespace tlsmux::config::test
