// A configuration with the files it names, as texts and as bytes.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <random>
#include <string>

#include "config/config_bundle.hpp"
#include "config/config_file.hpp"
#include "config/iso8583/iso8583_spec_json.hpp"
#include "config/limits.hpp"
#include "tests/config/config_text.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::config::test {

using tlsmux::test::TemporaryFolder;

namespace {

// The good configuration with a specification; a second upstream shares it.
nlohmann::json json_with_spec(const std::string& spec) {
  nlohmann::json json = good_json();
  json["upstreams"][0]["correlation"] = {{"kind", "iso8583"}, {"iso8583", {{"spec", spec}}}};
  json["upstreams"].push_back(json["upstreams"][0]);
  json["upstreams"][1]["name"] = "second";
  return json;
}

std::string some_spec() { return std::string(built_in_iso8583_spec("1987_ascii").value()); }

ReadFile files(std::map<std::string, std::string> texts) {
  return [texts = std::move(texts)](const std::string& path) -> std::expected<std::string, std::string> {
    const auto found = texts.find(path);
    if (found == texts.end()) return std::unexpected(std::string("cannot be read: No such file or directory"));
    return found->second;
  };
}

ConfigBundle bundle_of(const nlohmann::json& json, std::map<std::string, std::string> texts = {}) {
  auto bundle = make_bundle(json.dump(), files(std::move(texts)));
  REQUIRE(bundle.has_value());
  return *bundle;
}

std::string errors_of(const ConfigBundle& bundle) {
  const auto config = load_bundle(bundle);
  return config ? "" : in_words(config.error());
}

TEST_CASE("config.a built-in specification is loaded, and shared by the upstreams that name it") {
  const auto config = load_bundle(bundle_of(json_with_spec("1987_ascii")));
  REQUIRE_MESSAGE(config.has_value(), in_words(config.error()));
  const auto& fields = config->upstreams[0].correlation.iso8583.fields;
  REQUIRE(fields != nullptr);
  CHECK(fields->fields[2].encoding != FieldEncoding::none);
  CHECK(config->upstreams[1].correlation.iso8583.fields == fields);
}

TEST_CASE("config.a specification file becomes part of the bundle, once") {
  const ConfigBundle bundle = bundle_of(json_with_spec("/etc/spec.json"), {{"/etc/spec.json", some_spec()}});
  REQUIRE(bundle.files.size() == 1);
  CHECK(bundle.files[0].path == "/etc/spec.json");
  const auto config = load_bundle(bundle);
  REQUIRE_MESSAGE(config.has_value(), in_words(config.error()));
  CHECK(config->upstreams[0].correlation.iso8583.fields == config->upstreams[1].correlation.iso8583.fields);
}

TEST_CASE("config.a specification that is not there or is none is an error at its pointer") {
  const std::string place = "/correlation/iso8583/spec: ";
  CHECK(errors_of(bundle_of(json_with_spec("/none.json"))) ==
        "FILE: /upstreams/0" + place + "\"/none.json\" cannot be read: No such file or directory\n" +
            "FILE: /upstreams/1" + place + "\"/none.json\" cannot be read: No such file or directory\n");
  CHECK(errors_of(bundle_of(json_with_spec("1987_asci")))
            .starts_with("FILE: /upstreams/0" + place +
                         "no specification is named \"1987_asci\"; did you mean \"1987_ascii\"? Give \"1987_ascii\", "
                         "\"1987_binary\" or "
                         "\"1993_ascii\", or the absolute path of a file\n"));
  CHECK(errors_of(bundle_of(json_with_spec("/bad.json"), {{"/bad.json", "{}"}}))
            .starts_with("FILE: /upstreams/0" + place + "\"/bad.json\" is no specification: "));
  ConfigBundle without_file = bundle_of(json_with_spec("/etc/spec.json"), {{"/etc/spec.json", some_spec()}});
  without_file.files.clear();
  CHECK(errors_of(without_file).find("is not part of what was read; read it again") != std::string::npos);
}

TEST_CASE("config.a text that is not JSON is for the loader to report") {
  const auto bundle = make_bundle("{", files({}));
  REQUIRE(bundle.has_value());
  CHECK(errors_of(*bundle).starts_with("FILE:1:2: not valid JSON"));
}

TEST_CASE("config.files on the disk are read into a bundle") {
  const TemporaryFolder folder;
  const std::string spec = folder.add("spec.json", some_spec());
  const auto bundle = read_bundle(folder.add("config.json", json_with_spec(spec).dump()));
  REQUIRE(bundle.has_value());
  CHECK(errors_of(*bundle) == "");
  CHECK(bundle->files == std::vector<BundledFile>{{.path = spec, .text = some_spec(), .error = {}}});
  const std::string large = folder.add("large.json", std::string(kIso8583SpecFileBytesMax + 1, ' '));
  const auto errors = find_errors(folder.add("other.json", json_with_spec(large).dump()));
  REQUIRE(!errors.empty());
  CHECK(errors[0].message.ends_with("is larger than 1048576 bytes; is this a field specification?"));
  CHECK(!read_bundle(folder.path() + "/none.json").has_value());
}

TEST_CASE("config.a specification that others may change, or that is no file, is an error") {
  const TemporaryFolder folder;
  const std::string spec = folder.add("spec.json", some_spec());
  const std::string path = folder.add("config.json", json_with_spec(spec).dump());
  const auto error = [&] {
    const auto errors = errors_of(*read_bundle(path));
    CHECK(errors.starts_with("FILE: /upstreams/0/correlation/iso8583/spec: \"" + spec + "\" "));
    return errors;
  };
  for (const mode_t mode : {0664U, 0602U}) {
    REQUIRE(::chmod(spec.c_str(), mode) == 0);
    CHECK(error().ends_with(", so that others may decide how messages are read; type: chmod go-w " + spec + "\n"));
  }
  REQUIRE(::chmod(spec.c_str(), 0644) == 0);
  CHECK(errors_of(*read_bundle(path)).empty());
  if (::geteuid() == 0) {
    REQUIRE(::chown(spec.c_str(), 65534, 65534) == 0);
    CHECK(error().ends_with("; type: chown root " + spec + "\n"));
  }
  std::filesystem::remove(spec);
  REQUIRE(::mkfifo(spec.c_str(), 0600) == 0);  // nobody will write to it
  CHECK(error().ends_with("is no file; give the path of a field specification\n"));
}

TEST_CASE("config.a bundle that would be too large is refused") {
  nlohmann::json json = good_json();
  for (int i = 0; i < 17; ++i) {
    json["upstreams"].push_back(json_with_spec("/" + std::to_string(i))["upstreams"][0]);
  }
  const auto bundle = make_bundle(json.dump(), [](const std::string&) { return std::string(1U << 20, ' '); });
  REQUIRE(!bundle.has_value());
  CHECK(in_words(bundle.error()) ==
        "FILE: is larger, with the specifications that it names, than 16777216 bytes; let upstreams share some\n");
}

ConfigBundle small_bundle() {
  return {
      .text = "{\"a\": 1}",
      .files = {{.path = "/a", .text = "x", .error = {}}, {.path = "/b", .text = {}, .error = "cannot be read: no"}}};
}

TEST_CASE("config.a bundle is the same after it was bytes") {
  for (const ConfigBundle& bundle : {small_bundle(), ConfigBundle{}}) {
    const auto parsed = parse_bundle(serialise(bundle));
    REQUIRE(parsed.has_value());
    CHECK(*parsed == bundle);
  }
}

TEST_CASE("config.bytes that are no bundle are refused") {
  const auto error_of = [](const std::string& bytes) {
    const auto bundle = parse_bundle(bytes);
    return bundle ? std::string("none") : bundle.error();
  };
  const std::string good = serialise(small_bundle());
  CHECK(error_of("") == "not a configuration of this version");
  CHECK(error_of("TMXCONF9" + good.substr(8)) == "not a configuration of this version");
  for (std::size_t size = 8; size < good.size(); ++size) CHECK(error_of(good.substr(0, size)) == "ends too early");
  CHECK(error_of(good + '\0') == "longer than its parts");
  CHECK(error_of(std::string(kConfigBundleBytesMax + 1, '\0')) == "larger than a configuration may be");
  CHECK(error_of("TMXCONF1" + std::string("\xff\xff\xff\xff", 4)) == "ends too early");
  CHECK(error_of("TMXCONF1" + std::string(4, '\0') + "\xff\xff\xff\x7f") == "more files than there can be upstreams");
  const ConfigBundle long_text = {.text = std::string(kConfigFileBytesMax + 1, ' '), .files = {}};
  CHECK(error_of(serialise(long_text)) == "its text is too long");
  ConfigBundle twice = small_bundle();
  twice.files[1].path = "/a";
  CHECK(error_of(serialise(twice)) == "file 1 stands there twice or breaks a limit");
  ConfigBundle relative = small_bundle();
  relative.files[0].path = "a";
  CHECK(error_of(serialise(relative)) == "file 0 stands there twice or breaks a limit");
}

TEST_CASE("config.any change of a bundle's bytes is refused or makes a bundle within the limits") {
  std::mt19937_64 random(tlsmux::test::seed());
  const std::string good = serialise(small_bundle());
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = good;
    for (int edit = 0; edit < 3; ++edit) bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    const auto bundle = parse_bundle(bytes);
    if (bundle) CHECK(serialise(*bundle) == bytes);
  }
}

}  // namespace
}  // namespace tlsmux::config::test
