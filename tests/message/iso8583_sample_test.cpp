// Messages that others wrote, from a folder that is not part of this project.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "config/iso8583/iso8583_spec_json.hpp"
#include "engine/message/iso8583/value.hpp"
#include "engine/message/iso8583/walk.hpp"
#include "tests/message/iso8583_support.hpp"
#include "tests/support/skip.hpp"

using namespace tlsmux;
using namespace tlsmux::engine::message::iso8583;

namespace {

std::filesystem::path sample_folder() {
  if (const char* folder = std::getenv("TLSMUX_SAMPLE_DATA"); folder != nullptr) return folder;
  return std::filesystem::path(TLSMUX_SOURCE_FOLDER).parent_path() / "shared/data/iso8583";
}

bool is_absent(const std::filesystem::path& folder) {
  if (std::filesystem::is_directory(folder / "messages")) return false;
  test::skip("no sample messages: set TLSMUX_SAMPLE_DATA to a folder with messages/ and spec87ascii.json");
  return true;
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string walk_result(const config::Iso8583Spec& spec, const test::Bytes& message) {
  Walk walk(spec, MessageBytes(message));
  if (const auto started = walk.start(0); !started) return test::as_text(started.error());
  if (const auto walked = walk.walk_all(); !walked) return test::as_text(walked.error());
  return "ok";
}

// What the 1987 specification says of each file; the others are whole messages of it.
const std::map<std::string, std::string> kRefused = {
    {"error_message.dat", "truncated field 55 offset 185"},                       // ends in the middle
    {"message_with_error_indicate_numeric.dat", "truncated field 28 offset 66"},  // an amount of 8 characters, not 9
    {"message_with_indicate_numeric.dat", "truncated field 28 offset 66"},
    {"message_with_hex_bcd.dat", "bad_length field 48 offset 66"},  // lengths in BCD and in hex
    {"message_with_hex_rbcd.dat", "bad_length field 48 offset 66"},
    {"message_with_hex_length.dat", "bad_length field 32 offset 66"},
    {"message_with_number_bcd_encoding.dat", "truncated field 11 offset 46"},  // numbers in BCD
};

struct OwnWay {
  std::function<void(config::Iso8583Spec&)> change;
  std::string result;
};

// The specification that some of them were written for.
const std::map<std::string, OwnWay> kOwnWays = {
    {"message_with_indicate_numeric.dat", {[](auto& spec) { spec.fields[28].length = 8; }, "ok"}},
    {"message_with_error_indicate_numeric.dat", {[](auto& spec) { spec.fields[28].length = 8; }, "ok"}},
    {"message_with_hex_rbcd.dat", {[](auto& spec) { spec.fields[48].prefix = config::LengthPrefix::bcd; }, "ok"}},
    // The filling digit behind the length, where the others have it in front.
    {"message_with_hex_bcd.dat",
     {[](auto& spec) { spec.fields[48].prefix = config::LengthPrefix::bcd; }, "truncated field 48 offset 68"}},
    {"message_with_number_bcd_encoding.dat",
     {[](auto& spec) {
        for (const int field : {7, 11, 12})
          spec.fields[static_cast<std::size_t>(field)].encoding = config::FieldEncoding::bcd;
      },
      "ok"}},
};

}  // namespace

TEST_CASE("iso8583.sample messages are read, or refused for the right reason") {
  const auto folder = sample_folder();
  if (is_absent(folder)) return;
  const auto spec = test::built_in("1987_ascii");
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "messages")) {
    const auto name = entry.path().filename().string();
    CAPTURE(name);
    const auto message = test::from_text(read(entry.path()));
    const auto refused = kRefused.find(name);
    CHECK(walk_result(spec, message) == (refused == kRefused.end() ? "ok" : refused->second));
    if (const auto own = kOwnWays.find(name); own != kOwnWays.end()) {
      auto changed = spec;
      own->second.change(changed);
      CHECK(walk_result(changed, message) == own->second.result);
    }
    ++count;
  }
  CHECK(count >= 22);
}

TEST_CASE("iso8583.a sample message in EBCDIC gives its value in characters") {
  const auto folder = sample_folder();
  if (is_absent(folder)) return;
  auto spec = test::built_in("1987_ascii");
  spec.fields[42].encoding = config::FieldEncoding::ebcdic;
  const auto message = test::from_text(read(folder / "messages/message_with_character_ebcdic_encoding.dat"));
  Walk walk(spec, MessageBytes(message));
  REQUIRE(walk.start(0).has_value());
  REQUIRE(walk.walk_all().has_value());
  std::array<std::byte, 15> out{};
  const auto value = read_value(spec.fields[42], {}, walk.content(42), walk.place(42).length, out);
  REQUIRE(value.length == out.size());
  CHECK(test::to_text(out) == "ABCDEFGHIJKLMNO");
}

TEST_CASE("iso8583.a specification in the older JSON format agrees with the built-in one") {
  const auto folder = sample_folder();
  if (is_absent(folder)) return;
  const auto theirs = config::parse_iso8583_spec(read(folder / "spec87ascii.json"));
  REQUIRE_MESSAGE(theirs.has_value(), (theirs ? "" : theirs.error()));
  const auto ours = test::built_in("1987_ascii");
  CHECK(theirs->name == "ISO 8583 v1987 ASCII");
  CHECK(theirs->bitmap == ours.bitmap);
  std::size_t same = 0;
  for (std::uint32_t field = 2; field <= 128; ++field) {
    if (theirs->fields[field].encoding == config::FieldEncoding::none) continue;
    const auto& one = theirs->fields[field];
    const auto& other = ours.fields[field];
    same += one.encoding == other.encoding && one.length == other.length && one.prefix == other.prefix &&
                    one.prefix_digits == other.prefix_digits
                ? 1
                : 0;
  }
  CHECK(same >= 55);  // they differ in a few reserved fields
}
