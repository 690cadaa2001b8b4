// What is true of each setting, whichever there are.
#include <doctest/doctest.h>

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "config/plan.hpp"
#include "config/settings_tree.hpp"
#include "tests/config/config_text.hpp"
#include "tests/config/setting_changer.hpp"
#include "tests/config/settings_json.hpp"

namespace tlsmux::config::test {
namespace {

// Converts to whatever a field is.
struct AnyValue {
  template <class Field>
  operator Field() const;  // implicit: that is its purpose
};

// How many fields a struct has: as many as it can be initialised with.
template <class Settings, class... Values>
consteval std::size_t fields_of() {
  if constexpr (requires { Settings{Values{}..., AnyValue{}}; }) {
    return fields_of<Settings, Values..., AnyValue>();
  } else {
    return sizeof...(Values);
  }
}

// Compares the number of fields of each struct with what describe() shows of it.
class FieldCounter {
 public:
  template <class Settings>
  static void check(Settings settings) {
    FieldCounter counter;
    describe(counter, settings);
    // `fields` is what `spec` names, and no setting.
    const std::size_t not_described = std::is_same_v<Settings, Iso8583Settings> ? 1 : 0;
    CAPTURE(counter.last_key_);
    CHECK(counter.count_ + not_described == fields_of<Settings>());
  }

  void number(std::string_view key, auto&&...) { add(key); }
  void signed_number(std::string_view key, auto&&...) { add(key); }
  void numbers(std::string_view key, auto&&...) { add(key); }
  void flag(std::string_view key, auto&&...) { add(key); }
  void word(std::string_view key, auto&&...) { add(key); }
  void text(std::string_view key, auto&&...) { add(key); }
  void texts(std::string_view key, auto&&...) { add(key); }
  void hex(std::string_view key, auto&&...) { add(key); }
  void field_values(std::string_view key, auto&&...) { add(key); }
  template <class Settings>
  void object(std::string_view key, const Settings& settings) {
    add(key);
    check(settings);
  }
  template <class Settings>
  void objects(std::string_view key, const std::vector<Settings>& /*settings*/, auto&&...) {
    add(key);
    check(Settings{});
  }
  void preset(std::string_view /*key*/, auto&&...) {}
  void implied(auto&&...) {}
  void ignored(std::string_view /*key*/) {}

 private:
  void add(std::string_view key) {
    ++count_;
    last_key_ = key;
  }

  std::size_t count_ = 0;
  std::string last_key_;
};

TEST_CASE("config.every field of the settings has its line in describe.hpp") { FieldCounter::check(Config{}); }

std::string first_error(const nlohmann::json& json) {
  const auto config = parse(json.dump());
  return config ? "" : in_words(config.error());
}

TEST_CASE("config.every setting that is written arrives in its field") {
  const Config full = full_config();
  const std::size_t count = settings_count(full);
  CHECK(count > 100);
  for (std::size_t i = 0; i < count; ++i) {
    const Config config = changed(full, i);
    const nlohmann::json json = json_of(config);
    CAPTURE(i);
    REQUIRE(first_error(json) == "");
    CHECK(settings_tree(parsed(json)) == settings_tree(config));
    CHECK(settings_tree(parsed(json)) != settings_tree(full));
  }
}

TEST_CASE("config.a change of any single setting is in the plan") {
  const Config full = full_config();
  CHECK(plan(full, full).empty());
  const std::size_t count = settings_count(full);
  std::set<std::string> pointers;
  for (std::size_t i = 0; i < count; ++i) {
    const Config config = changed(full, i);
    const auto changes = plan(full, config);
    CAPTURE(i);
    REQUIRE(!changes.empty());
    CAPTURE(changes[0].words);
    const bool renamed = changes[0].kind == Change::Kind::removed;
    CHECK(changes.size() == (renamed ? 2 : 1));
    if (renamed) CHECK((changes[0].pointer == "/groups/0" || changes[0].pointer == "/upstreams/0"));
    CHECK(json_of(config).contains(nlohmann::json::json_pointer(changes[0].pointer)));
    CHECK(changes[0].why_not.find("not known") == std::string::npos);  // each has its row in change_effects.cpp
    CHECK(changes[0].live == changes[0].why_not.empty());
    pointers.insert(changes[0].pointer);
  }
  CHECK(pointers.size() == count);
}

}  // namespace
}  // namespace tlsmux::config::test
