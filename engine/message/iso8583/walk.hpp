#pragma once

// Finds the fields of an ISO 8583 message by its bitmaps. Reads each byte once, allocates nothing, and checks every bound
// before it reads.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "config/config.hpp"
#include "config/iso8583/iso8583_spec.hpp"
#include "engine/message/iso8583/error.hpp"

namespace tlsmux::engine::message::iso8583 {

// The bytes must be private to the engine: they are judged and read at different moments. Of a message that was copied
// in part, `message_bytes` is the length of the whole.
struct MessageBytes {
  std::span<const std::byte> bytes;
  std::size_t message_bytes = 0;

  explicit MessageBytes(std::span<const std::byte> whole) : bytes(whole), message_bytes(whole.size()) {}
  MessageBytes(std::span<const std::byte> prefix, std::size_t whole_bytes)
      : bytes(prefix), message_bytes(whole_bytes) {}
};

struct FieldPlace {
  std::uint32_t start;   // of the length prefix, or of the content where there is none
  std::uint32_t offset;  // of the content
  std::uint32_t bytes;   // of the content, as transmitted
  std::uint32_t length;  // of the content, in the field's unit
};

using Bitmaps = std::array<std::uint64_t, 3>;

// Whether the bitmaps name the field. The most significant bit of the first word is field 1.
constexpr bool has_field(const Bitmaps& bitmaps, std::uint32_t field) {
  return ((bitmaps[(field - 1) / 64] >> (63 - (field - 1) % 64)) & 1) != 0;
}

constexpr void set_field(Bitmaps& bitmaps, std::uint32_t field) {
  bitmaps[(field - 1) / 64] |= std::uint64_t{1} << (63 - (field - 1) % 64);
}

// The length of the header in front of the MTI.
std::expected<std::uint32_t, Iso8583Error> header_bytes_of(const config::Iso8583Settings& settings,
                                                           const MessageBytes& message);

// The MTI's four digits as characters. `offset` is where it stands.
using Mti = std::array<char, config::kIso8583MtiDigits>;
std::expected<Mti, Iso8583Error> read_mti(const config::Iso8583Field& field, const MessageBytes& message,
                                          std::uint32_t offset);

inline std::string_view text_of(const Mti& mti) { return {mti.data(), mti.size()}; }

// One pass over one message. The specification and the message must outlive it.
class Walk {
 public:
  // Places are written before they are read.
  Walk(const config::Iso8583Spec& spec, const MessageBytes& message) : spec_(spec), message_(message) {}

  // Reads MTI and bitmaps. `header_bytes` of the message stand in front of them. First of all calls, once.
  std::expected<void, Iso8583Error> start(std::uint32_t header_bytes);

  // Finds all fields present up to this one and with it, further than they were found already.
  std::expected<void, Iso8583Error> walk_to(std::uint32_t field);

  // Finds all fields, and refuses bytes behind the last one.
  std::expected<void, Iso8583Error> walk_all();

  [[nodiscard]] const Mti& mti() const { return mti_; }
  [[nodiscard]] const Bitmaps& bitmaps() const { return bitmaps_; }
  [[nodiscard]] bool has(std::uint32_t field) const { return has_field(bitmaps_, field); }
  // Where the walk has come to: behind the last field found.
  [[nodiscard]] std::uint32_t offset() const { return offset_; }

  // Requires has(field) and a walk that went so far.
  [[nodiscard]] const FieldPlace& place(std::uint32_t field) const { return places_[field]; }
  [[nodiscard]] std::span<const std::byte> content(std::uint32_t field) const {
    return message_.bytes.subspan(places_[field].offset, places_[field].bytes);
  }

 private:
  std::expected<void, Iso8583Error> read_bitmaps();
  std::expected<void, Iso8583Error> read_field(std::uint32_t number);

  const config::Iso8583Spec& spec_;
  MessageBytes message_;
  Mti mti_{};
  Bitmaps bitmaps_{};
  Bitmaps left_{};  // fields not found yet
  std::uint32_t offset_ = 0;
  std::array<FieldPlace, config::kIso8583FieldsMax + 1> places_;
};

}  // namespace tlsmux::engine::message::iso8583
