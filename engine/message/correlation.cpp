#include "engine/message/correlation.hpp"

#include "engine/message/siphash.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine::message {

std::size_t CorrelationKeyHash::operator()(const CorrelationKey& key) const {
  // One secret serves as both halves of SipHash's key; the constant only keeps the halves apart.
  constexpr std::uint64_t kOtherHalf = 0x9e3779b97f4a7c15;
  return siphash_2_4({.low = seed, .high = seed ^ kOtherHalf}, std::span(key.bytes).first(key.length));
}

Correlation::Correlation(const config::CorrelationSettings& settings) : kind_(settings.kind) {
  if (in_order()) return;
  if (kind_ == config::CorrelationKind::iso8583) {
    key_reader_.emplace(settings.iso8583);
    return;
  }
  offset_ = settings.offset;
  length_ = settings.length;
  TMX_ASSERT(length_ >= 1 && length_ <= config::kCorrelationKeyBytesMax);
  TMX_ASSERT(offset_ + length_ <= config::kKeyPrefixBytesMax);
  TMX_ASSERT(settings.mask.empty() || settings.mask.size() == length_);
  for (std::size_t i = 0; i < length_; ++i) {
    mask_[i] = settings.mask.empty() ? std::byte{0xff} : std::byte{settings.mask[i]};
  }
}

std::size_t Correlation::prefix_bytes() const { return key_reader_ ? key_reader_->prefix_bytes() : offset_ + length_; }

std::expected<CorrelationKey, CorrelationError> Correlation::request_key(std::span<const std::byte> message,
                                                                         std::size_t message_bytes) const {
  if (key_reader_) return key_reader_->key(iso8583::MessageBytes(message, message_bytes));
  return masked_key(message);
}

std::expected<CorrelationKey, CorrelationError> Correlation::response_key(std::span<const std::byte> message) const {
  if (key_reader_) return key_reader_->key(iso8583::MessageBytes(message));
  return masked_key(message);
}

MessageRole Correlation::role(std::span<const std::byte> message) const {
  if (!key_reader_) return MessageRole::response;
  const auto function = key_reader_->function(iso8583::MessageBytes(message));
  if (!function) return MessageRole::unreadable;
  return key_reader_->is_response_function(*function) ? MessageRole::response : MessageRole::request;
}

std::expected<CorrelationKey, CorrelationError> Correlation::masked_key(std::span<const std::byte> message) const {
  TMX_ASSERT(!in_order());
  if (message.size() < offset_ + length_) {
    return std::unexpected(CorrelationError{.kind = iso8583::Iso8583ErrorKind::truncated,
                                            .field = 0,
                                            .offset = static_cast<std::uint32_t>(message.size())});
  }
  CorrelationKey key;
  key.length = static_cast<std::uint8_t>(length_);
  for (std::size_t i = 0; i < length_; ++i) key.bytes[i] = message[offset_ + i] & mask_[i];
  return key;
}

}  // namespace tlsmux::engine::message
