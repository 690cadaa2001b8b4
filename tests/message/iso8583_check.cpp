#include "tests/message/iso8583_check.hpp"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "config/iso8583/iso8583_message_plan.hpp"
#include "config/iso8583/iso8583_value.hpp"
#include "engine/message/iso8583/auto_reply.hpp"
#include "engine/message/iso8583/key_reader.hpp"
#include "engine/message/iso8583/message_template.hpp"
#include "tests/message/iso8583_support.hpp"

namespace tlsmux::test {
namespace {

using namespace engine::message::iso8583;
using Kind = Iso8583ErrorKind;

constexpr std::size_t kSpecs = 4;

// Encodings and prefixes that the built-in specifications do not have, up to field 192.
config::Iso8583Spec odd_spec() {
  using enum config::FieldEncoding;
  using config::LengthPrefix;
  config::Iso8583Spec spec;
  spec.mti = {.encoding = ebcdic, .length = 4};
  spec.bitmap = config::BitmapEncoding::ebcdic_hex;
  const config::FieldEncoding encodings[] = {ascii, ebcdic, bcd, bcd_left, binary, hex};
  const LengthPrefix prefixes[] = {LengthPrefix::fixed, LengthPrefix::ascii,  LengthPrefix::ebcdic,
                                   LengthPrefix::bcd,   LengthPrefix::binary, LengthPrefix::hex};
  for (std::uint32_t number = 2; number <= config::kIso8583FieldsMax; ++number) {
    if (!config::is_data_field(number) || number % 7 == 0) continue;
    auto& field = spec.fields[number];
    field.encoding = encodings[number % 6];
    field.prefix = prefixes[number / 6 % 6];
    field.prefix_digits = field.prefix == LengthPrefix::fixed ? 0 : static_cast<std::uint8_t>(1 + number % 4);
    field.length = 1 + number % 9;
    field.padding = static_cast<config::PaddingSide>(number % 3);
    field.pad = '0';
  }
  return spec;
}

config::Iso8583Settings settings_of(std::uint8_t choice, std::uint8_t more) {
  static const std::vector<config::Iso8583Spec> specs = {built_in("1987_ascii"), built_in("1987_binary"),
                                                         built_in("1993_ascii"), odd_spec()};
  auto settings = settings_with(specs[choice % kSpecs]);
  settings.header_format = (choice & 0x10) != 0 ? config::HeaderFormat::base1 : config::HeaderFormat::fixed;
  settings.header_bytes = (choice & 0x10) != 0 ? 0 : choice >> 5;
  settings.absent_key_field = (more & 1) != 0 ? config::AbsentField::skip : config::AbsentField::error;
  settings.key_fields = (more & 2) != 0 ? std::vector<std::uint32_t>{11, 41} : std::vector<std::uint32_t>{37, 2, 100};
  if ((more & 4) != 0) settings.key_rules = {{.mti = "08", .processing_code = {}, .fields = {11}}};
  if ((more & 8) != 0) settings.key_rules.push_back({.mti = {}, .processing_code = "0", .fields = {11, 3}});
  return settings;
}

std::expected<std::uint32_t, Iso8583Error> walk_all(const config::Iso8583Settings& settings,
                                                    const MessageBytes& message, Walk& walk) {
  const auto header_bytes = header_bytes_of(settings, message);
  if (!header_bytes) return header_bytes;
  if (const auto started = walk.start(*header_bytes); !started) return std::unexpected(started.error());
  if (const auto walked = walk.walk_all(); !walked) return std::unexpected(walked.error());
  return *header_bytes;
}

std::string check_places(const Walk& walk, std::size_t message_bytes) {
  std::uint32_t expected = 0;
  for (std::uint32_t number = 2; number <= config::kIso8583FieldsMax; ++number) {
    if (!config::is_data_field(number) || !walk.has(number)) continue;
    const auto& place = walk.place(number);
    if (expected != 0 && place.start != expected) return "a field does not begin where the one before ends";
    if (place.offset < place.start || place.offset + place.bytes > message_bytes) return "a field lies outside";
    expected = place.offset + place.bytes;
  }
  return expected != 0 && expected != message_bytes ? "the last field does not end the message" : "";
}

// Beginnings of a message give the same result, or say that they are too short.
std::string check_prefixes(const config::Iso8583Settings& settings, const KeyReader& reader, const Bytes& message) {
  const auto whole = reader.key(MessageBytes(message));
  for (std::size_t length = 0; length <= message.size(); length += 1 + message.size() / 40) {
    const auto prefix = std::span(message).first(length);
    const auto key = reader.key(MessageBytes(prefix, message.size()));
    if (key ? key != whole : key.error().kind != Kind::beyond_prefix && (whole || key.error() != whole.error())) {
      return "the key of a beginning is another one";
    }
    Walk walk(*settings.fields, MessageBytes(prefix, message.size()));
    const auto walked = walk_all(settings, MessageBytes(prefix, message.size()), walk);
    if (walked && length < message.size()) return "a beginning was walked to the end";
  }
  if (!whole && whole.error().offset > message.size()) return "an error's offset lies outside";
  const auto prefix = std::span(message).first(std::min(message.size(), reader.prefix_bytes()));
  const auto key = reader.key(MessageBytes(prefix, message.size()));
  if (!key && key.error().kind == Kind::beyond_prefix && reader.prefix_bytes() < config::kKeyPrefixBytesMax) {
    return "a key lies beyond prefix_bytes";
  }
  return "";
}

std::string check_reply(const config::Iso8583Settings& settings, const KeyReader& reader, const Bytes& message,
                        const Mti& mti) {
  const auto response = config::response_mti(text_of(mti));
  if (!response) return "";
  const AutoReply replies(settings, {.mti = std::string(text_of(mti)), .match = {}, .set = {{39, ""}}});
  if (!replies.matches(message)) return "a message is not the one that is answered";
  Bytes out(message.size() + 64);
  const auto length = replies.reply(message, out);
  if (!length) return "no reply to a whole message";
  out.resize(*length);
  Walk walk(*settings.fields, MessageBytes(out));
  if (!walk_all(settings, MessageBytes(out), walk)) return "the reply cannot be read";
  if (text_of(walk.mti()) != *response) return "the reply's type is not the response's";
  if (walk.has(39)) return "the reply has a field that was to be left out";
  const auto request_key = reader.key(MessageBytes(message));
  const auto reply_key = reader.key(MessageBytes(out));
  if (request_key && request_key != reply_key) return "the reply has another key";
  Bytes small(out.size() - 1);
  const auto cut = replies.reply(message, small);
  return !cut && cut.error().kind == Kind::no_room ? "" : "a reply was written beyond its memory";
}

}  // namespace

std::string check_iso8583_case(std::span<const std::uint8_t> data) {
  if (data.size() < 2) return "";
  auto settings = settings_of(data[0], data[1]);
  // On the heap and of the exact size, so that a sanitizer sees each byte read too far.
  Bytes message(data.size() - 2);
  std::ranges::transform(data.subspan(2), message.begin(), [](std::uint8_t byte) { return std::byte{byte}; });
  const KeyReader reader(settings);
  if (auto difference = check_prefixes(settings, reader, message); !difference.empty()) return difference;
  const FieldValues values(settings, {{11, "11"}, {41, "11"}});
  (void)values.first_difference(message);

  Walk walk(*settings.fields, MessageBytes(message));
  const auto walked = walk_all(settings, MessageBytes(message), walk);
  if (!walked) return walked.error().offset <= message.size() ? "" : "an error's offset lies outside";
  if (auto difference = check_places(walk, message.size()); !difference.empty()) return difference;
  return check_reply(settings, reader, message, walk.mti());
}

std::string random_iso8583_case(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint8_t> data = {static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random())};
  const auto settings = settings_of(data[0], data[1]);
  const auto& spec = *settings.fields;
  const auto put = [&](std::span<const std::uint8_t> bytes) { data.insert(data.end(), bytes.begin(), bytes.end()); };
  if (settings.header_format == config::HeaderFormat::base1) put(std::vector<std::uint8_t>{3, 0, 9});
  data.insert(data.end(), settings.header_bytes, 0xfe);
  put(*config::plan_mti(spec, random() % 2 == 0 ? "0800" : "0100"));
  Bitmaps fields{};
  std::vector<std::uint8_t> contents;
  for (std::uint32_t number = 2; number <= config::kIso8583FieldsMax; ++number) {
    const auto& field = spec.fields[number];
    if (field.encoding == config::FieldEncoding::none || random() % 4 != 0) continue;
    set_field(fields, number);
    const bool fixed = field.prefix == config::LengthPrefix::fixed;
    std::vector<std::uint8_t> content(fixed ? field.length : random() % (std::min(field.length, 12U) + 1));
    for (auto& unit : content) unit = static_cast<std::uint8_t>('0' + random() % 10);
    const auto encoded = config::encode_field(field, content);
    contents.insert(contents.end(), encoded.begin(), encoded.end());
  }
  const auto bitmaps = config::encode_bitmaps(spec.bitmap, fields);
  put(std::span(bitmaps.bytes).first(bitmaps.length));
  put(contents);
  // Some are bent, some cut.
  const auto bend = random() % 8;
  if (bend == 0) data[2 + random() % (data.size() - 2)] ^= static_cast<std::uint8_t>(1U << random() % 8);
  if (bend == 1) data.resize(2 + random() % (data.size() - 2));
  if (bend < 2) return check_iso8583_case(data);

  Bytes message(data.size() - 2);
  std::ranges::transform(std::span(data).subspan(2), message.begin(),
                         [](std::uint8_t byte) { return std::byte{byte}; });
  Walk walk(spec, MessageBytes(message));
  if (!walk_all(settings, MessageBytes(message), walk)) return "a message that was built cannot be read";
  return check_iso8583_case(data);
}

}  // namespace tlsmux::test
