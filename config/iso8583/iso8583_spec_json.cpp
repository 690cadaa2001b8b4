#include "config/iso8583/iso8583_spec_json.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "config/json/json_document.hpp"
#include "config/json/json_pointer.hpp"
#include "config/wording.hpp"

namespace tlsmux::config {
namespace {

using Json = nlohmann::json;
using Failure = std::unexpected<std::string>;

template <class T>
using Parsed = std::expected<T, std::string>;

Failure fail(const std::string& pointer, const std::string& message) {
  return Failure((pointer.empty() ? "/" : pointer) + ": " + message);
}

struct EncodingName {
  std::string_view name;
  FieldEncoding encoding;
};

// The first names are those to be written; the others are of older versions of the format.
constexpr std::array kEncodings = {
    EncodingName{"ASCII", FieldEncoding::ascii},
    EncodingName{"BCD", FieldEncoding::bcd},
    EncodingName{"LBCD", FieldEncoding::bcd_left},
    EncodingName{"EBCDIC", FieldEncoding::ebcdic},
    EncodingName{"EBCDIC1047", FieldEncoding::ebcdic},
    EncodingName{"Binary", FieldEncoding::binary},
    EncodingName{"HexToASCII", FieldEncoding::hex},
    EncodingName{"ASCIIToHex", FieldEncoding::binary},  // hex digits to applications, bytes in the message
    EncodingName{"asciiEncoder", FieldEncoding::ascii},
    EncodingName{"bcdEncoder", FieldEncoding::bcd},
    EncodingName{"rBCDEncoder", FieldEncoding::bcd},
    EncodingName{"lBCDEncoder", FieldEncoding::bcd_left},
    EncodingName{"lbcdEncoder", FieldEncoding::bcd_left},
    EncodingName{"ebcdicEncoder", FieldEncoding::ebcdic},
    EncodingName{"ebcdic1047Encoder", FieldEncoding::ebcdic},
    EncodingName{"binaryEncoder", FieldEncoding::binary},
    EncodingName{"hexEncoder", FieldEncoding::hex},
    EncodingName{"hexToASCIIEncoder", FieldEncoding::hex},
    EncodingName{"asciiToHexEncoder", FieldEncoding::binary},
};
constexpr std::size_t kEncodingsToWrite = 8;

struct PrefixName {
  std::string_view name;
  LengthPrefix prefix;
};
constexpr std::array kPrefixes = {
    PrefixName{"ASCII", LengthPrefix::ascii},   PrefixName{"BCD", LengthPrefix::bcd},
    PrefixName{"EBCDIC", LengthPrefix::ebcdic}, PrefixName{"EBCDIC1047", LengthPrefix::ebcdic},
    PrefixName{"Binary", LengthPrefix::binary}, PrefixName{"Hex", LengthPrefix::hex},
};

constexpr std::array<std::string_view, 9> kTypes = {"String",    "Numeric", "Binary", "Hex",   "Bitmap",
                                                    "Composite", "Track1",  "Track2", "Track3"};
constexpr std::array<std::string_view, 10> kFieldKeys = {
    "type", "length", "description", "enc", "prefix", "padding", "tag", "subfields", "bitmap", "disableautoexpand"};
constexpr std::array<std::string_view, 2> kPaddingKeys = {"type", "pad"};
constexpr std::array<std::string_view, 2> kSpecKeys = {"name", "fields"};
constexpr std::uint32_t kPrefixDigitsMax = 4;
constexpr std::uint32_t kFieldLengthMax = 65'535;

bool same_but_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

Parsed<void> check_keys(const Json& object, const std::string& pointer, std::span<const std::string_view> known) {
  for (const auto& member : object.items()) {
    if (std::ranges::find(known, member.key()) != known.end()) continue;
    return fail(pointer_to(pointer, member.key()), "is not a key of the format; " + suggestion(member.key(), known));
  }
  return {};
}

Parsed<std::string> read_text(const Json& object, const std::string& pointer, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return fail(pointer_to(pointer, key), "is missing");
  if (!found->is_string()) return fail(pointer_to(pointer, key), "must be a text in double quotes");
  return found->get<std::string>();
}

Parsed<FieldEncoding> read_encoding(const Json& object, const std::string& pointer) {
  const auto name = read_text(object, pointer, "enc");
  if (!name) return Failure(name.error());
  for (const auto& known : kEncodings) {
    if (same_but_case(known.name, *name)) return known.encoding;
  }
  std::array<std::string_view, kEncodingsToWrite> names;
  std::ranges::transform(std::span(kEncodings).first(names.size()), names.begin(), &EncodingName::name);
  return fail(pointer_to(pointer, "enc"), in_quotes(*name) + " is no encoding known here; " + suggestion(*name, names));
}

// "ASCII.LL", "Hex.Fixed"
Parsed<void> read_prefix(const Json& object, const std::string& pointer, Iso8583Field& field) {
  const std::string place = pointer_to(pointer, "prefix");
  const auto text = read_text(object, pointer, "prefix");
  if (!text) return Failure(text.error());
  const std::string form =
      "must be the encoding of the length and its digits, such as \"ASCII.LL\" or \"BCD.LLL\", or "
      "\"ASCII.Fixed\", is " +
      in_quotes(*text);
  const std::size_t dot = text->find('.');
  if (dot == std::string::npos) return fail(place, form);
  const std::string_view encoding = std::string_view(*text).substr(0, dot);
  const std::string_view digits = std::string_view(*text).substr(dot + 1);
  const auto known =
      std::ranges::find_if(kPrefixes, [&](const PrefixName& one) { return same_but_case(one.name, encoding); });
  if (known == kPrefixes.end()) {
    return fail(place,
                in_quotes(encoding) + " is no encoding of lengths known here; give ASCII, BCD, EBCDIC, Binary or Hex");
  }
  if (same_but_case(digits, "Fixed")) return {};
  if (digits.empty() || digits.find_first_not_of('L') != std::string_view::npos) return fail(place, form);
  if (digits.size() > kPrefixDigitsMax) return fail(place, "has more than the four digits that are supported, LLLL");
  field.prefix = known->prefix;
  field.prefix_digits = static_cast<std::uint8_t>(digits.size());
  return {};
}

// The largest length that the prefix can tell.
std::uint64_t longest(const Iso8583Field& field) {
  if (field.prefix == LengthPrefix::fixed) return kFieldLengthMax;
  const bool bytes = field.prefix == LengthPrefix::binary || field.prefix == LengthPrefix::hex;
  std::uint64_t values = 1;
  for (std::uint32_t i = 0; i < field.prefix_digits; ++i) values *= bytes ? 256 : 10;
  return std::min<std::uint64_t>(values - 1, kFieldLengthMax);
}

Parsed<void> read_length(const Json& object, const std::string& pointer, Iso8583Field& field) {
  const std::string place = pointer_to(pointer, "length");
  const auto found = object.find("length");
  if (found == object.end()) return fail(place, "is missing");
  const std::uint64_t max = longest(field);
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() == 0 || found->get<std::uint64_t>() > max) {
    return fail(place, "must be a whole number between 1 and " + std::to_string(max));
  }
  field.length = static_cast<std::uint32_t>(found->get<std::uint64_t>());
  return {};
}

// "0", or its code 48 in the older format.
Parsed<std::uint8_t> read_pad(const Json& padding, const std::string& pointer) {
  const std::string place = pointer_to(pointer, "pad");
  const auto found = padding.find("pad");
  if (found == padding.end()) return fail(place, "is missing");
  if (found->is_string() && found->get_ref<const std::string&>().size() == 1) {
    return static_cast<std::uint8_t>(found->get_ref<const std::string&>().front());
  }
  if (found->is_number_unsigned() && found->get<std::uint64_t>() <= 255) {
    return static_cast<std::uint8_t>(found->get<std::uint64_t>());
  }
  return fail(place, "must be one character such as \"0\", or its code");
}

Parsed<void> read_padding(const Json& object, const std::string& pointer, Iso8583Field& field) {
  const auto found = object.find("padding");
  if (found == object.end() || found->is_null()) return {};
  const std::string place = pointer_to(pointer, "padding");
  if (!found->is_object()) return fail(place, "must be an object { \"type\": ..., \"pad\": ... }");
  if (const auto keys = check_keys(*found, place, kPaddingKeys); !keys) return keys;
  const auto type = read_text(*found, place, "type");
  if (!type) return Failure(type.error());
  if (*type == "None" || *type == "nonePadder") return {};
  if (*type == "Left" || *type == "leftPadder") field.padding = PaddingSide::left;
  if (*type == "Right" || *type == "rightPadder") field.padding = PaddingSide::right;
  if (field.padding == PaddingSide::none) {
    return fail(pointer_to(place, "type"), in_quotes(*type) + " is no padding; give \"Left\", \"Right\" or \"None\"");
  }
  const auto pad = read_pad(*found, place);
  if (!pad) return Failure(pad.error());
  const bool bcd = field.encoding == FieldEncoding::bcd || field.encoding == FieldEncoding::bcd_left;
  if (bcd && (*pad < '0' || *pad > '9')) return fail(pointer_to(place, "pad"), "must be a digit in a BCD field");
  field.pad = *pad;
  return {};
}

bool has_ascii_subfields(const Json& object) {
  const auto subfields = object.find("subfields");
  if (subfields == object.end() || !subfields->is_object() || subfields->empty()) return false;
  return std::ranges::all_of(*subfields, [](const Json& one) {
    return one.is_object() && one.contains("enc") && (one["enc"] == "ASCII" || one["enc"] == "asciiEncoder");
  });
}

Parsed<std::string> read_type(const Json& object, const std::string& pointer) {
  if (!object.is_object()) return fail(pointer, "must be an object { ... }");
  if (const auto keys = check_keys(object, pointer, kFieldKeys); !keys) return Failure(keys.error());
  auto type = read_text(object, pointer, "type");
  if (type && std::ranges::find(kTypes, *type) == kTypes.end()) {
    return fail(pointer_to(pointer, "type"), in_quotes(*type) + " is no type of field; " + suggestion(*type, kTypes));
  }
  return type;
}

Parsed<Iso8583Field> read_field(const Json& object, const std::string& pointer) {
  const auto type = read_type(object, pointer);
  if (!type) return Failure(type.error());
  Iso8583Field field;
  if (*type == "Composite") {
    // What is in it is not looked into: its length counts bytes.
    field.encoding = has_ascii_subfields(object) ? FieldEncoding::ascii : FieldEncoding::binary;
  } else {
    const auto encoding = read_encoding(object, pointer);
    if (!encoding) return Failure(encoding.error());
    field.encoding = *encoding;
  }
  if (const auto read = read_prefix(object, pointer, field); !read) return Failure(read.error());
  if (const auto read = read_length(object, pointer, field); !read) return Failure(read.error());
  if (const auto read = read_padding(object, pointer, field); !read) return Failure(read.error());
  return field;
}

Parsed<Iso8583Field> read_mti(const Json& object, const std::string& pointer) {
  auto field = read_field(object, pointer);
  if (!field) return field;
  if (field->prefix != LengthPrefix::fixed || field->length != kIso8583MtiDigits) {
    return fail(pointer_to(pointer, "length"), "the MTI has a fixed length of 4");
  }
  if (field->encoding == FieldEncoding::binary || field->encoding == FieldEncoding::hex) {
    return fail(pointer_to(pointer, "enc"), "the MTI is four digits in ASCII, EBCDIC, BCD or LBCD");
  }
  return field;
}

Parsed<BitmapEncoding> read_bitmap(const Json& object, const std::string& pointer) {
  const auto type = read_type(object, pointer);
  if (!type) return Failure(type.error());
  if (*type != "Bitmap") return fail(pointer_to(pointer, "type"), "field 1 is the bitmap: the type is \"Bitmap\"");
  if (const auto fixed = object.find("disableautoexpand"); fixed != object.end() && *fixed != false) {
    return fail(pointer_to(pointer, "disableautoexpand"),
                "bitmaps of a fixed length are not supported: the first bit of each says whether another follows");
  }
  Iso8583Field field;
  if (const auto read = read_prefix(object, pointer, field); !read) return Failure(read.error());
  if (field.prefix != LengthPrefix::fixed) return fail(pointer_to(pointer, "prefix"), "a bitmap has no length prefix");
  const auto encoding = read_encoding(object, pointer);
  if (!encoding) return Failure(encoding.error());
  switch (*encoding) {
    case FieldEncoding::binary: return BitmapEncoding::binary;
    case FieldEncoding::hex: return BitmapEncoding::hex;
    case FieldEncoding::ebcdic: return BitmapEncoding::ebcdic_hex;
    default: break;
  }
  return fail(
      pointer_to(pointer, "enc"),
      "a bitmap is \"Binary\", \"HexToASCII\" (hexadecimal digits) or \"EBCDIC\" (hexadecimal digits in EBCDIC)");
}

// "3", or "Field003" in the older format.
std::optional<std::uint32_t> field_number(std::string_view key) {
  constexpr std::string_view kOldStart = "Field";
  if (key.starts_with(kOldStart)) {
    key.remove_prefix(kOldStart.size());
    while (key.size() > 1 && key.front() == '0') key.remove_prefix(1);
  }
  if (key.empty() || key.size() > 3 || (key.size() > 1 && key.front() == '0')) return std::nullopt;
  std::uint32_t number = 0;
  for (const char digit : key) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint32_t>(digit - '0');
  }
  return number <= kIso8583FieldsMax ? std::optional(number) : std::nullopt;
}

Parsed<void> read_one(const std::string& key, const Json& object, const std::string& pointer, Iso8583Spec& spec) {
  const auto number = field_number(key);
  if (!number) return fail(pointer, "must be a field's number between 0 and " + std::to_string(kIso8583FieldsMax));
  if (*number == 0) {
    const auto mti = read_mti(object, pointer);
    if (!mti) return Failure(mti.error());
    spec.mti = *mti;
  } else if (*number == 1) {
    const auto bitmap = read_bitmap(object, pointer);
    if (!bitmap) return Failure(bitmap.error());
    spec.bitmap = *bitmap;
  } else {
    const auto field = read_field(object, pointer);
    if (!field) return Failure(field.error());
    // Whatever the file says of 65 and 129, these bits announce a bitmap.
    if (is_data_field(*number)) spec.fields[*number] = *field;
  }
  return {};
}

Parsed<void> read_fields(const Json& fields, Iso8583Spec& spec) {
  const std::string place = "/fields";
  std::array<bool, kIso8583FieldsMax + 1> seen{};
  for (const auto& [key, object] : fields.items()) {
    const std::string pointer = pointer_to(place, key);
    if (const auto read = read_one(key, object, pointer, spec); !read) return read;
    bool& again = seen[*field_number(key)];
    if (again) return fail(pointer, "this field is there twice, once as \"Field...\"; keep one of the two");
    again = true;
  }
  if (!seen[0]) return fail(pointer_to(place, "0"), "is missing: the MTI");
  if (!seen[1]) return fail(pointer_to(place, "1"), "is missing: the bitmap");
  return {};
}

std::string text_of(const ConfigError& error) {
  if (error.line == 0) return (error.pointer.empty() ? "/" : error.pointer) + ": " + error.message;
  return "line " + std::to_string(error.line) + ", column " + std::to_string(error.column) + ": " + error.message;
}

}  // namespace

std::expected<Iso8583Spec, std::string> parse_iso8583_spec(std::string_view json_text) {
  if (json_text.size() > kIso8583SpecFileBytesMax) {
    return Failure("is longer than " + std::to_string(kIso8583SpecFileBytesMax) + " bytes");
  }
  if (json_text.find_first_not_of(" \t\r\n") == std::string_view::npos) return Failure("the file is empty");
  const auto document = parse_json(json_text);
  if (!document) return Failure(text_of(document.error().back()));
  if (!document->errors.empty()) return Failure(text_of(document->errors.front()));
  const Json& root = document->root;
  if (!root.is_object()) return fail("", "must be an object { \"name\": ..., \"fields\": ... }");
  if (const auto keys = check_keys(root, "", kSpecKeys); !keys) return Failure(keys.error());
  Iso8583Spec spec;
  if (const auto name = root.find("name"); name != root.end()) {
    if (!name->is_string()) return fail("/name", "must be a text in double quotes");
    spec.name = printable(name->get_ref<const std::string&>());
  }
  const auto fields = root.find("fields");
  if (fields == root.end() || !fields->is_object())
    return fail("/fields", "must be an object with the fields by number");
  if (const auto read = read_fields(*fields, spec); !read) return Failure(read.error());
  return spec;
}

}  // namespace tlsmux::config
