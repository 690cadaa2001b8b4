#include "engine/message/iso8583/auto_reply.hpp"

#include <algorithm>

#include "config/iso8583/iso8583_message_plan.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::message::iso8583 {
namespace {

using Kind = Iso8583ErrorKind;

// Appends to memory of a fixed size.
class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}

  bool put(std::span<const std::byte> bytes) {
    if (bytes.size() > out_.size() - length_) return false;
    std::ranges::copy(bytes, out_.begin() + static_cast<std::ptrdiff_t>(length_));
    length_ += bytes.size();
    return true;
  }

  [[nodiscard]] std::size_t length() const { return length_; }
  [[nodiscard]] std::span<std::byte> written() const { return out_.first(length_); }

  [[nodiscard]] std::unexpected<Iso8583Error> no_room(std::uint32_t field) const {
    return std::unexpected(Iso8583Error{.kind = Kind::no_room,
                                        .field = static_cast<std::uint16_t>(field),
                                        .offset = static_cast<std::uint32_t>(length_)});
  }

 private:
  std::span<std::byte> out_;
  std::size_t length_ = 0;
};

std::vector<std::byte> bytes_of(const std::vector<std::uint8_t>& bytes) {
  std::vector<std::byte> result;
  for (const auto byte : bytes) result.push_back(std::byte{byte});
  return result;
}

// VISA BASE I: bytes 3 and 4 are the length of the whole message, 5 to 7 the destination, 8 to 10 the source station.
void turn_base1_header(std::span<std::byte> message, std::size_t header_bytes) {
  constexpr std::size_t kStationBytes = 3;
  if (header_bytes < 5) return;
  message[3] = static_cast<std::byte>(message.size() >> 8);
  message[4] = static_cast<std::byte>(message.size());
  if (header_bytes < 5 + 2 * kStationBytes) return;
  std::ranges::swap_ranges(message.subspan(5, kStationBytes), message.subspan(5 + kStationBytes, kStationBytes));
}

}  // namespace

AutoReply::AutoReply(const config::Iso8583Settings& settings, const config::AutoReplySettings& reply)
    : settings_(settings), match_(settings, reply.match) {
  TMX_ASSERT(settings_.fields != nullptr);
  const auto response = config::response_mti(reply.mti);
  TMX_ASSERT(response.has_value());
  std::ranges::copy(reply.mti, mti_.begin());
  const auto response_mti = config::plan_mti(*settings_.fields, *response);
  TMX_ASSERT(response_mti.has_value());
  response_mti_ = bytes_of(*response_mti);
  auto values = reply.set;
  values.try_emplace(config::kResponseCodeField, config::kApproved);
  for (const auto& [number, value] : values) {
    if (value.empty()) {
      set_field(left_out_, number);
      continue;
    }
    const auto planned = config::plan_field(*settings_.fields, number, value);
    TMX_ASSERT(planned.has_value());
    set_field(set_, number);
    set_fields_.emplace(number, bytes_of(*planned));
  }
}

bool AutoReply::matches(std::span<const std::byte> request) const {
  const MessageBytes message(request);
  const auto header_bytes = header_bytes_of(settings_, message);
  if (!header_bytes) return false;
  Walk walk(*settings_.fields, message);
  if (!walk.start(*header_bytes) || walk.mti() != mti_) return false;
  const auto difference = match_.first_difference(walk);
  return difference.has_value() && !difference->has_value();
}

std::expected<std::size_t, Iso8583Error> AutoReply::reply(std::span<const std::byte> request,
                                                          std::span<std::byte> out) const {
  const MessageBytes message(request);
  const auto header_bytes = header_bytes_of(settings_, message);
  if (!header_bytes) return std::unexpected(header_bytes.error());
  Walk walk(*settings_.fields, message);
  if (const auto started = walk.start(*header_bytes); !started) return std::unexpected(started.error());
  if (const auto walked = walk.walk_all(); !walked) return std::unexpected(walked.error());

  Writer writer(out);
  if (!writer.put(request.first(*header_bytes)) || !writer.put(response_mti_)) return writer.no_room(0);
  Bitmaps fields = walk.bitmaps();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    fields[i] &= ~(std::uint64_t{1} << 63);  // whether another bitmap follows is decided anew
    fields[i] = (fields[i] & ~left_out_[i]) | set_[i];
  }
  const auto bitmaps = config::encode_bitmaps(settings_.fields->bitmap, fields);
  if (!writer.put(std::as_bytes(std::span(bitmaps.bytes).first(bitmaps.length)))) return writer.no_room(1);
  for (std::uint32_t number = 2; number <= config::kIso8583FieldsMax; ++number) {
    if (!has_field(fields, number)) continue;
    if (has_field(set_, number)) {
      if (!writer.put(set_fields_.at(number))) return writer.no_room(number);
      continue;
    }
    const auto& place = walk.place(number);
    const auto bytes = request.subspan(place.start, place.offset + place.bytes - place.start);
    if (!writer.put(bytes)) return writer.no_room(number);
  }
  if (settings_.header_format == config::HeaderFormat::base1) turn_base1_header(writer.written(), *header_bytes);
  return writer.length();
}

}  // namespace tlsmux::engine::message::iso8583
