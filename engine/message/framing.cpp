#include "engine/message/framing.hpp"

#include <algorithm>

#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::engine::message {
namespace {

constexpr std::uint64_t kZeroDigit = 0x30;

// The largest number that `digits` places of a number system hold.
std::uint64_t largest_number(std::uint64_t base, std::size_t digits) {
  std::uint64_t largest = 0;
  for (std::size_t i = 0; i < digits; ++i) largest = largest * base + (base - 1);
  return largest;
}

std::uint64_t base_of(config::LengthEncoding encoding) { return encoding == config::LengthEncoding::ascii ? 10 : 256; }

std::expected<std::uint64_t, FramingError> read_ascii(std::span<const std::byte> header) {
  std::uint64_t value = 0;
  for (const std::byte byte : header) {
    const auto digit = std::to_integer<std::uint64_t>(byte) - kZeroDigit;  // below '0' it wraps and is over 9 as well
    if (digit > 9) return std::unexpected(FramingError::not_a_number);
    value = value * 10 + digit;
  }
  return value;
}

std::uint64_t read_binary_be(std::span<const std::byte> header) {
  std::uint64_t value = 0;
  for (const std::byte byte : header) value = value << 8 | std::to_integer<std::uint64_t>(byte);
  return value;
}

}  // namespace

const char* framing_error_text(FramingError error) {
  switch (error) {
    case FramingError::too_long: return "the stated length of a message is over message_bytes_max";
    case FramingError::too_short: return "the stated length of a message includes itself and is smaller than itself";
    case FramingError::not_a_number: return "the length of a message holds a byte that is no decimal digit";
  }
  return "unknown framing error";
}

Framing::Framing(const config::FramingSettings& settings)
    : encoding_(settings.length_encoding),
      length_bytes_(settings.length_bytes),
      includes_itself_(settings.length_includes_itself),
      message_bytes_max_(settings.message_bytes_max) {
  TMX_ASSERT(length_bytes_ >= 1 && length_bytes_ <= config::kLengthHeaderBytesMax);
  TMX_ASSERT(message_bytes_max_ >= 1);
  const auto largest = largest_number(base_of(encoding_), length_bytes_);
  TMX_ASSERT(largest >= (includes_itself_ ? length_bytes_ : 0) + message_bytes_max_);
}

void Framing::write_header(std::span<std::byte> header, std::size_t message_bytes) const {
  TMX_ASSERT(header.size() == length_bytes_);
  TMX_ASSERT(message_bytes >= 1 && message_bytes <= message_bytes_max_);
  const auto base = base_of(encoding_);
  const auto zero = encoding_ == config::LengthEncoding::ascii ? kZeroDigit : 0;
  std::uint64_t value = message_bytes + (includes_itself_ ? length_bytes_ : 0);
  for (std::size_t i = header.size(); i-- > 0;) {
    header[i] = static_cast<std::byte>(zero + value % base);
    value /= base;
  }
}

std::expected<std::size_t, FramingError> Framing::read_header(std::span<const std::byte> header) const {
  TMX_ASSERT(header.size() == length_bytes_);
  std::uint64_t value = 0;
  if (encoding_ == config::LengthEncoding::ascii) {
    const auto number = read_ascii(header);
    if (!number) return std::unexpected(number.error());
    value = *number;
  } else {
    value = read_binary_be(header);
  }
  if (includes_itself_) {
    if (value < length_bytes_) return std::unexpected(FramingError::too_short);
    value -= length_bytes_;
  }
  if (value > message_bytes_max_) return std::unexpected(FramingError::too_long);
  return value;
}

FrameCutter::FrameCutter(const Framing& framing)
    : framing_(&framing), held_(framing.header_bytes() + framing.message_bytes_max()) {}

std::expected<void, FramingError> FrameCutter::feed(std::span<const std::byte> bytes, OnMessage on_message) {
  if (failed_) return std::unexpected(*failed_);
  auto rest = finish_held(bytes, on_message);
  if (rest) rest = cut_whole(*rest, on_message);
  if (!rest) {
    failed_ = rest.error();
    return std::unexpected(*failed_);
  }
  hold(*rest, held_bytes_ + rest->size());
  return {};
}

// Completes the message whose beginning is held, if there is one. The bytes behind it; none if it is not complete yet.
std::expected<std::span<const std::byte>, FramingError> FrameCutter::finish_held(std::span<const std::byte> bytes,
                                                                                 OnMessage on_message) {
  if (held_bytes_ == 0) return bytes;
  const auto header_bytes = framing_->header_bytes();
  bytes = hold(bytes, header_bytes);
  if (held_bytes_ < header_bytes) return bytes;
  const auto message_bytes = framing_->read_header(std::span(held_).first(header_bytes));
  if (!message_bytes) return std::unexpected(message_bytes.error());

  if (held_bytes_ == header_bytes && bytes.size() >= *message_bytes) {
    held_bytes_ = 0;
    deliver(bytes.first(*message_bytes), on_message);
    return bytes.subspan(*message_bytes);
  }
  bytes = hold(bytes, header_bytes + *message_bytes);
  if (held_bytes_ < header_bytes + *message_bytes) return bytes;
  held_bytes_ = 0;
  deliver(std::span(held_).subspan(header_bytes, *message_bytes), on_message);
  return bytes;
}

// Delivers the messages that lie whole in `bytes`. What is behind them: the beginning of one that does not.
std::expected<std::span<const std::byte>, FramingError> FrameCutter::cut_whole(std::span<const std::byte> bytes,
                                                                               OnMessage on_message) {
  const auto header_bytes = framing_->header_bytes();
  while (bytes.size() >= header_bytes) {
    const auto message_bytes = framing_->read_header(bytes.first(header_bytes));
    if (!message_bytes) return std::unexpected(message_bytes.error());
    if (bytes.size() - header_bytes < *message_bytes) break;
    deliver(bytes.subspan(header_bytes, *message_bytes), on_message);
    bytes = bytes.subspan(header_bytes + *message_bytes);
  }
  return bytes;
}

// Copies until `wanted_bytes` are held or `bytes` is used up. What is left of `bytes`.
std::span<const std::byte> FrameCutter::hold(std::span<const std::byte> bytes, std::size_t wanted_bytes) {
  if (held_bytes_ >= wanted_bytes) return bytes;
  const auto count = std::min(wanted_bytes - held_bytes_, bytes.size());
  shm::copy_bytes(std::span(held_).subspan(held_bytes_, count), bytes.first(count));
  held_bytes_ += count;
  return bytes.subspan(count);
}

void FrameCutter::deliver(std::span<const std::byte> message, OnMessage on_message) {
  if (message.empty()) {
    ++keep_alives_;
  } else {
    on_message(message);
  }
}

}  // namespace tlsmux::engine::message
