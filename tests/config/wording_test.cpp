// The parts that error texts are made of.
#include <doctest/doctest.h>

#include <array>
#include <string>
#include <string_view>

#include "config/config_error.hpp"
#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

constexpr std::array<std::string_view, 4> kWords = {"worker_threads", "user", "log", "in_flight_max"};

TEST_CASE("config.the nearest word is found, and none when none is near") {
  CHECK(nearest("worker_thread", kWords) == "worker_threads");
  CHECK(nearest("worker-threads", kWords) == "worker_threads");
  CHECK(nearest("usre", kWords) == "user");
  CHECK(nearest("in_flight", kWords) == "in_flight_max");
  CHECK(nearest("logs", kWords) == "log");
  CHECK(!nearest("sessions", kWords));
  CHECK(!nearest("", kWords));
  CHECK(!nearest(std::string(100'000, 'u'), kWords));
  CHECK(!nearest("x", {}));
  CHECK(!nearest("B", std::array<std::string_view, 1>{"A"}));
}

TEST_CASE("config.lists of words") {
  CHECK(one_of(std::span(kWords).first(1)) == "\"worker_threads\"");
  CHECK(one_of(std::span(kWords).first(2)) == "\"worker_threads\" or \"user\"");
  CHECK(one_of(std::span(kWords).first(3)) == "\"worker_threads\", \"user\" or \"log\"");
}

TEST_CASE("config.texts are made printable") {
  CHECK(in_quotes("a\tb\x7f") == "\"a\\u0009b\\u007f\"");
  CHECK(printable(std::string(80, 'x')) == std::string(80, 'x'));
  CHECK(printable(std::string(81, 'x')) == std::string(80, 'x') + "...");
  CHECK(printable(std::string(79, 'x') + "\xc3\xa9") == std::string(79, 'x') + "...");  // not half of a character
}

TEST_CASE("config.JSON pointers") {
  CHECK(pointer_to("", "engine") == "/engine");
  CHECK(pointer_to("/groups", 3) == "/groups/3");
  CHECK(pointer_to("/a", "b/c~d") == "/a/b~1c~0d");
  CHECK(same_or_nested("/a/b", "/a/b"));
  CHECK(same_or_nested("/a/b/c", "/a/b"));
  CHECK(same_or_nested("", "/a"));
  CHECK(!same_or_nested("/a/b", "/a/bc"));
  CHECK(!same_or_nested("/a/1", "/a/10"));
}

TEST_CASE("config.errors are one line each") {
  const ConfigErrors errors = {{.pointer = "/engine/user", .message = "no"},
                               {.pointer = "", .message = "cannot be read"},
                               {.pointer = "", .message = "not JSON", .line = 3, .column = 5}};
  CHECK(format_errors("/etc/x.json", errors) ==
        "/etc/x.json: /engine/user: no\n/etc/x.json: cannot be read\n/etc/x.json:3:5: not JSON\n");
  CHECK(format_errors("x", {}).empty());
}

}  // namespace
}  // namespace tlsmux::config
