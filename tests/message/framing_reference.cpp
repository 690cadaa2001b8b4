#include "tests/message/framing_reference.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace tlsmux::test {
namespace {

using config::FramingSettings;
using config::LengthEncoding;
using engine::message::FramingError;
using Settings = std::vector<std::uint8_t>;

bool begins_with(std::span<const std::byte> bytes, const Settings& expected) {
  return bytes.size() >= expected.size() &&
         std::equal(expected.begin(), expected.end(), bytes.begin(), [](auto a, auto b) { return std::byte{a} == b; });
}

std::uint32_t number_of(std::byte byte) { return std::to_integer<std::uint32_t>(byte); }

// The digits of the length as text, for the encodings that have digits.
std::string digits_of(LengthEncoding encoding, std::span<const std::byte> field) {
  std::string digits;
  for (const auto byte : field) {
    if (encoding == LengthEncoding::bcd) {
      digits += static_cast<char>('0' + (number_of(byte) >> 4));
      digits += static_cast<char>('0' + (number_of(byte) & 15));
    } else {
      digits += static_cast<char>(byte);
    }
  }
  return digits;
}

std::optional<std::uint64_t> number_in(LengthEncoding encoding, std::span<const std::byte> field) {
  std::uint64_t value = 0;
  if (encoding == LengthEncoding::binary_be || encoding == LengthEncoding::binary_le) {
    for (std::size_t i = 0; i < field.size(); ++i) {
      const auto place = encoding == LengthEncoding::binary_be ? field.size() - 1 - i : i;
      value |= std::uint64_t{number_of(field[i])} << (8 * place);
    }
    return value;
  }
  const auto digits = digits_of(encoding, field);
  const auto* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, value, encoding == LengthEncoding::hex ? 16 : 10);
  if (read.ptr != end || read.ec != std::errc{}) return std::nullopt;
  return value;
}

struct Reader {
  const FramingSettings& settings;
  std::span<const std::byte> rest;
  Cut cut = {};
  std::optional<std::pair<Bytes, Bytes>> joined = {};

  enum class Kind : std::uint8_t { last, more, control, wrong };

  [[nodiscard]] std::size_t own_bytes() const { return settings.header.size() + settings.trailer.size(); }

  [[nodiscard]] Kind kind_of(std::span<const std::byte> after) const {
    bool control = !settings.control_mask.empty();
    bool last = true;
    for (std::size_t i = 0; i < after.size(); ++i) {
      const auto mask = settings.control_mask.empty() ? 0U : settings.control_mask[i];
      const bool usual = number_of(after[i]) == settings.after_length[i];
      if (mask == 0 ? !usual : (number_of(after[i]) & mask) != settings.control_value[i]) control = false;
      if (mask == 0 && !usual) last = false;
    }
    if (control) return Kind::control;
    if (!settings.more_after_length.empty() && begins_with(after, settings.more_after_length)) return Kind::more;
    return last ? Kind::last : Kind::wrong;
  }

  bool fail(FramingError error) {
    cut.error = error;
    return false;
  }

  // False: no whole frame is left, or an error.
  bool read_length_frame() {
    const auto before = settings.before_length.size();
    const auto head = before + settings.length_bytes + settings.after_length.size();
    if (rest.size() < head) return false;
    const auto kind = kind_of(rest.subspan(before + settings.length_bytes, settings.after_length.size()));
    if (kind == Kind::wrong || !begins_with(rest, settings.before_length)) return fail(FramingError::unexpected_bytes);
    const auto length = number_in(settings.length_encoding, rest.subspan(before, settings.length_bytes));
    if (!length) return fail(FramingError::not_a_number);
    const auto counted = std::int64_t{settings.length_adjust} +
                         (settings.length_includes_itself ? std::int64_t{settings.length_bytes} : 0);
    const auto limit = static_cast<std::int64_t>(own_bytes() + settings.message_bytes_max) + counted;
    if (*length > static_cast<std::uint64_t>(limit)) return fail(FramingError::too_long);
    auto body = static_cast<std::int64_t>(*length) - counted;
    if (*length == 0) body = std::max<std::int64_t>(body, 0);
    if (body < 0) return fail(FramingError::too_short);
    const auto body_bytes = static_cast<std::size_t>(body);
    if (kind != Kind::control && body > 0 && body_bytes < own_bytes()) return fail(FramingError::too_short);
    const auto message_bytes = body_bytes > own_bytes() ? body_bytes - own_bytes() : 0;
    if (kind != Kind::control && joined && joined->second.size() + message_bytes > settings.message_bytes_max) {
      return fail(FramingError::too_long);
    }
    if (rest.size() - head < body_bytes) return false;
    const bool good = take(kind, rest.subspan(head, body_bytes));
    rest = rest.subspan(head + body_bytes);
    return good;
  }

  bool read_delimited_frame() {
    for (std::size_t i = 0; i < std::min(rest.size(), settings.start.size()); ++i) {
      if (number_of(rest[i]) != settings.start[i]) return fail(FramingError::unexpected_bytes);
    }
    const auto first = settings.start.size() + settings.header.size();
    const auto last = first + settings.message_bytes_max + settings.trailer.size();
    for (auto at = first; at <= last && at < rest.size(); ++at) {
      if (!begins_with(rest.subspan(at), settings.delimiter)) continue;
      const bool good = take(Kind::last, rest.subspan(settings.start.size(), at - settings.start.size()));
      rest = rest.subspan(at + settings.delimiter.size());
      return good;
    }
    if (rest.size() >= last + settings.delimiter.size()) return fail(FramingError::too_long);
    return false;
  }

  bool take(Kind kind, std::span<const std::byte> body) {
    if (kind == Kind::control) {
      ++cut.controls;
      return true;
    }
    if (!body.empty()) {
      if (body.size() < own_bytes()) return fail(FramingError::too_short);
      if (!begins_with(body.last(settings.trailer.size()), settings.trailer)) {
        return fail(FramingError::unexpected_bytes);
      }
    }
    const auto header = body.empty() ? body : body.first(settings.header.size());
    const auto message = body.empty() ? body : body.subspan(header.size(), body.size() - own_bytes());
    if (message.empty() && !(joined && kind == Kind::last)) {
      ++cut.keep_alives;
      return true;
    }
    if (!joined) joined = {Bytes(header.begin(), header.end()), Bytes()};
    joined->second.insert(joined->second.end(), message.begin(), message.end());
    if (kind == Kind::more) return true;
    cut.messages.push_back(*joined);
    joined.reset();
    return true;
  }
};

void append(Bytes& frame, const Settings& bytes) {
  for (const auto byte : bytes) frame.push_back(std::byte{byte});
}

void append_length(Bytes& frame, const FramingSettings& settings, std::uint64_t value) {
  const auto base = settings.length_encoding == LengthEncoding::ascii ? 10U
                    : settings.length_encoding == LengthEncoding::bcd ? 100U
                    : settings.length_encoding == LengthEncoding::hex ? 16U
                                                                      : 256U;
  Bytes places;  // the lowest first
  for (std::uint32_t i = 0; i < settings.length_bytes; ++i, value /= base) {
    const auto digit = value % base;
    switch (settings.length_encoding) {
      case LengthEncoding::ascii:
      case LengthEncoding::hex: places.push_back(static_cast<std::byte>("0123456789ABCDEF"[digit])); break;
      case LengthEncoding::bcd: places.push_back(static_cast<std::byte>(digit / 10 * 16 + digit % 10)); break;
      case LengthEncoding::binary_be:
      case LengthEncoding::binary_le: places.push_back(static_cast<std::byte>(digit)); break;
    }
  }
  if (settings.length_encoding != LengthEncoding::binary_le) std::ranges::reverse(places);
  frame.insert(frame.end(), places.begin(), places.end());
}

}  // namespace

Cut cut_by_reference(const FramingSettings& settings, std::span<const std::byte> stream) {
  Reader reader{.settings = settings, .rest = stream};
  const bool by_length = settings.kind == config::FramingKind::length;
  while (!reader.rest.empty()) {
    if (!(by_length ? reader.read_length_frame() : reader.read_delimited_frame())) break;
  }
  reader.cut.at_boundary = reader.rest.empty() && !reader.joined;
  return reader.cut;
}

Bytes frame_by_reference(const FramingSettings& settings, std::span<const std::byte> message, bool goes_on) {
  Bytes frame;
  if (settings.kind == config::FramingKind::length) {
    append(frame, settings.before_length);
    const auto counted = static_cast<std::int64_t>(message.size() + settings.header.size() + settings.trailer.size()) +
                         (settings.length_includes_itself ? settings.length_bytes : 0) + settings.length_adjust;
    append_length(frame, settings, static_cast<std::uint64_t>(counted));
    append(frame, goes_on ? settings.more_after_length : settings.after_length);
  } else {
    append(frame, settings.start);
  }
  append(frame, settings.header);
  frame.insert(frame.end(), message.begin(), message.end());
  append(frame, settings.trailer);
  append(frame, settings.delimiter);
  return frame;
}

}  // namespace tlsmux::test
