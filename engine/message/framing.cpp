#include "engine/message/framing.hpp"

#include <algorithm>

#include "config/length_field.hpp"
#include "engine/message/length_field.hpp"
#include "shm/assert.hpp"
#include "shm/shared_copy.hpp"

namespace tlsmux::engine::message {
namespace {

// A TPDU is an id of one byte, then the destination and the source, two bytes each (ISO 8583 over X.25 and TCP).
constexpr std::size_t kTpduBytes = 5;
constexpr std::size_t kDestination = 1;
constexpr std::size_t kSource = 3;
constexpr std::size_t kAddressBytes = 2;

std::vector<std::byte> bytes_of(const std::vector<std::uint8_t>& settings) {
  const auto bytes = std::as_bytes(std::span(settings));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> joined(std::vector<std::byte> first, const std::vector<std::byte>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

bool holds(std::span<const std::byte> bytes, std::span<const std::byte> what) {
  return !what.empty() && !std::ranges::search(bytes, what).empty();
}

}  // namespace

Framing::Framing(const config::FramingSettings& settings)
    : encoding_(settings.length_encoding),
      length_bytes_(settings.kind == config::FramingKind::length ? settings.length_bytes : 0),
      not_in_body_(settings.length_adjust +
                   (settings.length_includes_itself ? std::int64_t{settings.length_bytes} : 0)),
      message_bytes_max_(settings.message_bytes_max),
      swaps_addresses_(settings.header_swaps_addresses),
      echoes_keep_alives_(settings.keep_alive == config::KeepAlive::echo),
      before_length_(bytes_of(length_bytes_ > 0 ? settings.before_length : settings.start)),
      after_length_(bytes_of(settings.after_length)),
      more_after_length_(bytes_of(settings.more_after_length)),
      control_mask_(bytes_of(settings.control_mask)),
      control_value_(bytes_of(settings.control_value)),
      own_header_(bytes_of(settings.header)),
      own_trailer_bytes_(settings.trailer.size()),
      delimiter_(bytes_of(settings.delimiter)),
      trailer_and_delimiter_(joined(bytes_of(settings.trailer), delimiter_)),
      head_bytes_(before_length_.size() + length_bytes_ + after_length_.size()) {
  TMX_ASSERT(message_bytes_max_ >= 1);
  TMX_ASSERT(is_delimited() == (settings.kind == config::FramingKind::delimiter));
  TMX_ASSERT(length_bytes_ <= config::kLengthHeaderBytesMax);
  TMX_ASSERT(header_bytes() <= config::kFrameHeaderBytesMax);
  TMX_ASSERT(trailer().size() <= config::kFrameTrailerBytesMax);
  TMX_ASSERT(more_after_length_.empty() || more_after_length_.size() == after_length_.size());
  TMX_ASSERT(control_mask_.empty() || control_mask_.size() == after_length_.size());
  TMX_ASSERT(control_mask_.size() == control_value_.size());
  TMX_ASSERT(!swaps_addresses_ || own_header_.size() >= kTpduBytes);
  if (!config::cuts_messages(settings.kind)) return;  // no message is ever written or cut with it
  if (settings.kind == config::FramingKind::length) {
    const auto body = static_cast<std::int64_t>(own_bytes());
    TMX_ASSERT(body + not_in_body_ >= 0);
    const auto largest = config::largest_length(encoding_, static_cast<std::uint32_t>(length_bytes_));
    TMX_ASSERT(largest >= static_cast<std::uint64_t>(body + not_in_body_) + message_bytes_max_);
  }
  keep_alive_ = make_keep_alive();
}

void Framing::write_head(std::span<std::byte> head, std::uint64_t length) const {
  shm::copy_bytes(head, before_length_);
  if (is_delimited()) return;
  write_length(encoding_, head.subspan(before_length_.size(), length_bytes_), length);
  shm::copy_bytes(head.subspan(before_length_.size() + length_bytes_), after_length_);
}

void Framing::write_header(std::span<std::byte> header, std::size_t message_bytes,
                           std::span<const std::byte> received_header) const {
  TMX_ASSERT(header.size() == header_bytes());
  TMX_ASSERT(message_bytes >= 1 && message_bytes <= message_bytes_max_);
  const auto body_bytes = static_cast<std::int64_t>(own_bytes() + message_bytes);
  write_head(header.first(head_bytes_), is_delimited() ? 0 : static_cast<std::uint64_t>(body_bytes + not_in_body_));
  const auto own_header = header.subspan(head_bytes_);
  if (!swaps_addresses_ || received_header.empty()) return shm::copy_bytes(own_header, own_header_);
  TMX_ASSERT(received_header.size() == own_header.size());
  shm::copy_bytes(own_header, received_header);
  shm::copy_bytes(own_header.subspan(kDestination), received_header.subspan(kSource, kAddressBytes));
  shm::copy_bytes(own_header.subspan(kSource), received_header.subspan(kDestination, kAddressBytes));
}

// A length of zero, where nothing can follow that; else all of a frame but the message.
Framing::Bytes Framing::make_keep_alive() const {
  Bytes frame(head_bytes_);
  const bool nothing_follows = !is_delimited() && not_in_body_ >= 0;
  if (nothing_follows) {
    write_head(frame, 0);
    return frame;
  }
  const auto length = static_cast<std::int64_t>(own_bytes()) + not_in_body_;
  write_head(frame, is_delimited() ? 0 : static_cast<std::uint64_t>(length));
  return joined(joined(std::move(frame), own_header_), trailer_and_delimiter_);
}

bool Framing::may_be_sent(std::span<const std::byte> message) const {
  if (!is_delimited()) return true;
  if (holds(message, delimiter_) || holds(message, before_length_)) return false;
  // The message's end together with what is put behind it.
  std::array<std::byte, 3 * config::kFramingPartBytesMax> end{};
  const auto kept = message.last(std::min(message.size(), delimiter_.size() - 1));
  shm::copy_bytes(end, kept);
  shm::copy_bytes(std::span(end).subspan(kept.size()), trailer_and_delimiter_);
  const auto whole = std::span(end).first(kept.size() + trailer_and_delimiter_.size());
  const auto found = std::ranges::search(whole, delimiter_);
  return found.end() == whole.end();
}

std::size_t Framing::message_bytes(std::size_t body_bytes) const {
  return body_bytes > own_bytes() ? body_bytes - own_bytes() : 0;
}

// Nothing when these bytes cannot stand there. Of a byte in which control_mask has a bit, nothing else is asked.
std::optional<FrameKind> Framing::kind_of(std::span<const std::byte> after_length) const {
  bool is_control = !control_mask_.empty();
  bool is_last = true;
  for (std::size_t i = 0; i < after_length.size(); ++i) {
    const bool is_masked = !control_mask_.empty() && control_mask_[i] != std::byte{0};
    const bool is_usual = after_length[i] == after_length_[i];
    is_last = is_last && (is_masked || is_usual);
    is_control = is_control && (is_masked ? (after_length[i] & control_mask_[i]) == control_value_[i] : is_usual);
  }
  if (is_control) return FrameKind::control;
  if (has_parts() && std::ranges::equal(after_length, more_after_length_)) return FrameKind::part;
  if (is_last) return FrameKind::message;
  return std::nullopt;
}

std::expected<FrameHead, FramingError> Framing::read_head(std::span<const std::byte> head) const {
  TMX_ASSERT(head.size() == head_bytes_ && !is_delimited());
  const auto kind = kind_of(head.subspan(before_length_.size() + length_bytes_));
  if (!kind || !std::ranges::equal(head.first(before_length_.size()), before_length_)) {
    return std::unexpected(FramingError::unexpected_bytes);
  }
  const auto length = read_length(encoding_, head.subspan(before_length_.size(), length_bytes_));
  if (!length) return std::unexpected(length.error());
  const auto own = own_bytes();
  const auto length_max = static_cast<std::int64_t>(own + message_bytes_max_) + not_in_body_;
  if (*length > static_cast<std::uint64_t>(length_max)) return std::unexpected(FramingError::too_long);
  const auto body = static_cast<std::int64_t>(*length) - not_in_body_;
  if (*length == 0 && body <= 0) return FrameHead{.kind = *kind, .body_bytes = 0};
  if (body < 0) return std::unexpected(FramingError::too_short);
  const auto body_bytes = static_cast<std::size_t>(body);
  // Session control has no header of ours.
  if (body_bytes > 0 && body_bytes < own && *kind != FrameKind::control) {
    return std::unexpected(FramingError::too_short);
  }
  return FrameHead{.kind = *kind, .body_bytes = body_bytes};
}

std::expected<std::optional<std::size_t>, FramingError> Framing::find_end(std::span<const std::byte> bytes,
                                                                          std::size_t searched) const {
  TMX_ASSERT(is_delimited() && searched <= bytes.size());
  const auto start = std::min(head_bytes_, bytes.size());
  if (!std::ranges::equal(bytes.first(start), std::span(before_length_).first(start))) {
    return std::unexpected(FramingError::unexpected_bytes);
  }
  const auto window = bytes.first(std::min(bytes.size(), frame_bytes_max()));
  // A header is binary and of known size: what looks like a delimiter in it is none. One may lie half in what was
  // searched before.
  const auto overlap = std::min(searched, delimiter_.size() - 1);
  const auto from = std::max(searched - overlap, header_bytes());
  if (from < window.size()) {
    const auto found = std::ranges::search(window.subspan(from), delimiter_);
    if (!found.empty()) return static_cast<std::size_t>(found.end() - window.begin());
  }
  if (window.size() == frame_bytes_max()) return std::unexpected(FramingError::too_long);
  return std::nullopt;
}

std::expected<void, FramingError> Framing::check_body(std::span<const std::byte> body) const {
  if (body.empty()) return {};
  if (body.size() < own_bytes()) return std::unexpected(FramingError::too_short);
  const auto own_trailer = std::span(trailer_and_delimiter_).first(own_trailer_bytes_);
  if (std::ranges::equal(body.last(own_trailer_bytes_), own_trailer)) return {};
  return std::unexpected(FramingError::unexpected_bytes);
}

}  // namespace tlsmux::engine::message
