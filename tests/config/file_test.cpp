// Files from end to end.
#include <doctest/doctest.h>

#include <string>

#include "config/config_file.hpp"
#include "config/limits.hpp"
#include "tests/config/config_text.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::config::test {

using tlsmux::test::TemporaryFolder;

namespace {

TEST_CASE("config.a good file loads") {
  const TemporaryFolder folder;
  const auto config = load(folder.add("good.json", good_json().dump()));
  REQUIRE(config.has_value());
  CHECK(config->upstreams[0].name == "acquirer");
}

TEST_CASE("config.a file that cannot be read says why") {
  const TemporaryFolder folder;
  const auto error_of = [](const std::string& path) {
    const auto config = load(path);
    return config ? "none" : in_words(config.error());
  };
  CHECK(error_of(folder.path() + "/none.json") == "FILE: cannot be read: No such file or directory\n");
  CHECK(error_of(folder.path()) == "FILE: cannot be read: Is a directory\n");
  CHECK(error_of(folder.add("large.json", std::string(kConfigFileBytesMax + 1, ' '))) ==
        "FILE: is larger than 4194304 bytes; is this a configuration file?\n");
  CHECK(error_of(folder.add("empty.json", "")).starts_with("FILE:1:1: the file is empty"));
}

TEST_CASE("config.one look finds errors of values, of rules and of files") {
  const TemporaryFolder folder;
  const std::string text = R"({
    "engine": {"worker_threads": 0, "user": "no-such-user-here"},
    "groups": [{"name": "A", "users": ["0"]}],
    "upstreams": [{"name": "U", "groups": ["B"], "endpoints": ["h:1"],
                   "tls": {"ca_file": ")" +
                           folder.path() + R"(/none.pem", "ca_directory": "relative"}}]
  })";
  const std::string path = folder.add("bad.json", text);
  CHECK(in_words(find_errors(path)) ==
        "FILE: /engine/worker_threads: must be between 1 and 64, is 0\n"
        "FILE: /upstreams/0/tls/ca_directory: must be an absolute path, is \"relative\"\n"
        "FILE: /upstreams/0/groups/0: no group is named \"B\"; give \"A\"\n"
        "FILE: /engine/user: this machine has no user \"no-such-user-here\"; give one that exists, or add it\n"
        "FILE: /upstreams/0/tls/ca_file: \"" +
            folder.path() + "/none.pem\" cannot be read: No such file or directory\n");
  const auto loaded = load(path);
  REQUIRE(!loaded.has_value());
  CHECK(loaded.error().size() == 3);  // all but the files
  CHECK(find_errors(folder.path() + "/none.json").size() == 1);
}

}  // namespace
}  // namespace tlsmux::config::test
