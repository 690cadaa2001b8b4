#include "tests/message/framing_check.hpp"

#include <algorithm>
#include <optional>
#include <random>

#include "engine/message/framing.hpp"

namespace tlsmux::test {
namespace {

using engine::message::FrameCutter;
using engine::message::Framing;
using engine::message::FramingError;
using Message = std::vector<std::byte>;

// What a stream amounts to.
struct Cut {
  std::vector<Message> messages;
  std::uint64_t keep_alives = 0;
  std::optional<FramingError> error;
  bool at_boundary = true;
};

struct StatedLength {
  std::uint64_t value = 0;
  bool is_number = true;
};

StatedLength stated_length(const config::FramingSettings& settings, std::span<const std::byte> header) {
  StatedLength length;
  for (const std::byte byte : header) {
    const auto number = std::to_integer<unsigned>(byte);
    if (settings.length_encoding == config::LengthEncoding::ascii) {
      if (number < '0' || number > '9') length.is_number = false;
      length.value = length.value * 10 + (number - '0');
    } else {
      length.value = length.value * 256 + number;
    }
  }
  return length;
}

Cut cut_by_reference(const config::FramingSettings& settings, std::span<const std::byte> stream) {
  Cut cut;
  std::size_t position = 0;
  while (position < stream.size()) {
    cut.at_boundary = false;
    if (stream.size() - position < settings.length_bytes) return cut;
    auto length = stated_length(settings, stream.subspan(position, settings.length_bytes));
    const auto itself = settings.length_includes_itself ? settings.length_bytes : 0;
    if (!length.is_number)
      cut.error = FramingError::not_a_number;
    else if (length.value < itself)
      cut.error = FramingError::too_short;
    else if (length.value - itself > settings.message_bytes_max)
      cut.error = FramingError::too_long;
    if (cut.error) return cut;

    const auto message_bytes = static_cast<std::size_t>(length.value - itself);
    position += settings.length_bytes;
    if (stream.size() - position < message_bytes) return cut;
    const auto message = stream.subspan(position, message_bytes);
    if (message.empty())
      ++cut.keep_alives;
    else
      cut.messages.emplace_back(message.begin(), message.end());
    position += message_bytes;
    cut.at_boundary = true;
  }
  return cut;
}

Cut cut_in_pieces(const config::FramingSettings& settings, std::span<const std::byte> stream, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const Framing framing(settings);
  FrameCutter cutter(framing);
  Cut cut;
  const std::size_t piece_bytes_max = 1 + random() % (random() % 4 == 0 ? 2000 : 20);
  while (!stream.empty() && !cut.error) {
    const auto count = std::min<std::size_t>(stream.size(), random() % (piece_bytes_max + 1));
    // A copy of its own, so that a sanitizer sees every read beside it.
    const Message piece(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(count));
    const auto fed = cutter.feed(
        piece, [&](std::span<const std::byte> message) { cut.messages.emplace_back(message.begin(), message.end()); });
    if (!fed) cut.error = fed.error();
    stream = stream.subspan(count);
  }
  cut.keep_alives = cutter.keep_alives();
  cut.at_boundary = cutter.at_boundary();
  return cut;
}

}  // namespace

std::string compare_with_reference(const config::FramingSettings& settings, std::span<const std::byte> stream,
                                   std::uint64_t split_seed) {
  const Cut expected = cut_by_reference(settings, stream);
  const Cut cut = cut_in_pieces(settings, stream, split_seed);
  if (cut.error != expected.error) return "the errors differ";
  if (cut.messages.size() != expected.messages.size()) return "the numbers of messages differ";
  if (cut.messages != expected.messages) return "a message's bytes differ";
  if (cut.keep_alives != expected.keep_alives) return "the numbers of keep-alives differ";
  if (!cut.error && cut.at_boundary != expected.at_boundary) return "the states at the end differ";
  return {};
}

std::string check_framing_case(std::span<const std::uint8_t> data) {
  constexpr std::size_t kChoiceBytes = 12;
  if (data.size() < kChoiceBytes) return {};
  config::FramingSettings settings;
  const bool ascii = (data[0] & 1) != 0;
  settings.length_encoding = ascii ? config::LengthEncoding::ascii : config::LengthEncoding::binary_be;
  settings.length_includes_itself = (data[0] & 2) != 0;
  settings.length_bytes = 1 + data[1] % config::kLengthHeaderBytesMax;
  settings.message_bytes_max = 1 + (data[2] | (data[3] & 3U) << 8);
  // What one digit or byte cannot state, config_check refuses.
  if (settings.length_bytes == 1) settings.message_bytes_max = 1 + data[2] % (ascii ? 8 : 254);
  if (settings.length_bytes == 2 && ascii) settings.message_bytes_max = 1 + data[2] % 97;
  if (settings.length_bytes == 3 && ascii) settings.message_bytes_max = 1 + (data[2] | (data[3] & 3U) << 8) % 996;
  std::uint64_t split_seed = 0;
  for (std::size_t i = 4; i < kChoiceBytes; ++i) split_seed = split_seed << 8 | data[i];
  return compare_with_reference(settings, std::as_bytes(data.subspan(kChoiceBytes)), split_seed);
}

}  // namespace tlsmux::test
