#include "tests/message/framing_check.hpp"

#include <algorithm>

#include "config/check/check_framing.hpp"
#include "config/framing_presets.hpp"
#include "config/limits.hpp"
#include "engine/message/frame_cutter.hpp"
#include "tests/message/framing_reference.hpp"

namespace tlsmux::test {
namespace {

using engine::message::Frame;
using engine::message::FrameCutter;
using engine::message::Framing;

Bytes copy_of(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

Cut cut_in_pieces(const Framing& framing, std::span<const std::byte> stream, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  FrameCutter cutter(framing);
  Cut cut;
  const std::size_t piece_bytes_max = 1 + random() % (random() % 4 == 0 ? 2000 : 20);
  while (!stream.empty() && !cut.error) {
    const auto count = std::min<std::size_t>(stream.size(), random() % (piece_bytes_max + 1));
    // A copy of its own, so that a sanitizer sees every read beside it.
    const auto piece = copy_of(stream.first(count));
    const auto fed = cutter.feed(piece, [&](const Frame& frame) {
      cut.messages.emplace_back(copy_of(frame.received_header), copy_of(frame.message));
    });
    if (!fed) cut.error = fed.error();
    stream = stream.subspan(count);
  }
  cut.keep_alives = cutter.keep_alives();
  cut.controls = cutter.controls();
  cut.at_boundary = cutter.at_boundary();
  return cut;
}

std::string difference(const Cut& cut, const Cut& expected) {
  if (cut.error != expected.error) return "the errors differ";
  if (cut.messages.size() != expected.messages.size()) return "the numbers of messages differ";
  if (cut.messages != expected.messages) return "the bytes of a message or of its header differ";
  if (cut.keep_alives != expected.keep_alives) return "the numbers of keep-alives differ";
  if (cut.controls != expected.controls) return "the numbers of control frames differ";
  if (!cut.error && cut.at_boundary != expected.at_boundary) return "the states at the end differ";
  return {};
}

std::vector<std::uint8_t> random_part(std::mt19937_64& random, std::size_t bytes) {
  std::vector<std::uint8_t> part(bytes);
  // Few different bytes, so that they are found where they should not be.
  for (auto& byte : part) byte = static_cast<std::uint8_t>(random() % 2 == 0 ? random() % 4 : random());
  return part;
}

config::FramingSettings any_framing(std::mt19937_64& random) {
  constexpr auto kPartMax = config::kFramingPartBytesMax;
  config::FramingSettings settings;
  settings.header = random_part(random, random() % 3 == 0 ? random() % (config::kFramingHeaderBytesMax + 1) : 0);
  settings.trailer = random_part(random, random() % 3 == 0 ? random() % (kPartMax + 1) : 0);
  if (random() % 3 == 0) {
    settings.kind = config::FramingKind::delimiter;
    settings.start = random_part(random, random() % 2 == 0 ? random() % (kPartMax + 1) : 0);
    settings.delimiter = random_part(random, 1 + random() % (random() % 4 == 0 ? kPartMax : 2));
    return settings;
  }
  settings.length_encoding = static_cast<config::LengthEncoding>(random() % 5);
  settings.length_bytes = static_cast<std::uint32_t>(1 + random() % config::kLengthHeaderBytesMax);
  settings.length_includes_itself = random() % 3 == 0;
  settings.length_adjust = random() % 3 == 0 ? static_cast<std::int32_t>(random() % 41) - 20 : 0;
  settings.before_length = random_part(random, random() % 3 == 0 ? random() % (kPartMax + 1) : 0);
  settings.after_length = random_part(random, random() % 2 == 0 ? random() % (kPartMax + 1) : 0);
  const auto after = settings.after_length.size();
  if (random() % 2 == 0) settings.more_after_length = random_part(random, after);
  if (random() % 3 == 0) {
    settings.control_mask = random_part(random, after);
    settings.control_value = random_part(random, after);
    for (std::size_t i = 0; i < after; ++i) settings.control_value[i] &= settings.control_mask[i];
  }
  return settings;
}

config::FramingSettings preset_framing(std::uint64_t choice) {
  const auto presets = config::framing_presets();
  const auto is_framed = [](const auto& preset) { return config::cuts_messages(preset.settings.kind); };
  const auto framed = static_cast<std::size_t>(std::ranges::count_if(presets, is_framed));  // they come first
  return presets[choice % framed].settings;
}

void add_tpdu(config::FramingSettings& settings) {
  settings.header = {0x60, 0x00, 0x01, 0x00, 0x04};
  settings.header_swaps_addresses = true;
}

bool passes_config_check(const config::FramingSettings& settings) {
  config::Findings findings({});
  config::check_framing(settings, "", findings);
  return std::move(findings).take().empty();
}

}  // namespace

std::string compare_with_reference(const config::FramingSettings& settings, std::span<const std::byte> stream,
                                   std::uint64_t split_seed) {
  const Framing framing(settings);
  return difference(cut_in_pieces(framing, stream, split_seed), cut_by_reference(settings, stream));
}

std::string check_round_trip(const config::FramingSettings& settings, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const Framing framing(settings);
  const auto own_header = copy_of(std::as_bytes(std::span(settings.header)));
  Bytes stream;
  Cut expected;
  for (auto left = 1 + random() % 6; left > 0; --left) {
    if (random() % 8 == 0) {
      const auto keep_alive = framing.keep_alive();
      stream.insert(stream.end(), keep_alive.begin(), keep_alive.end());
      ++expected.keep_alives;
    }
    const auto part = random_part(random, 1 + random() % settings.message_bytes_max);
    const auto message = copy_of(std::as_bytes(std::span(part)));
    if (!framing.may_be_sent(message)) continue;
    Bytes frame(framing.header_bytes());
    framing.write_header(frame, message.size());
    frame.insert(frame.end(), message.begin(), message.end());
    frame.insert(frame.end(), framing.trailer().begin(), framing.trailer().end());
    if (frame != frame_by_reference(settings, message)) return "a frame is not as the reference makes it";
    if (frame.size() != message.size() + framing.overhead_bytes()) return "a frame is longer than it was said";
    stream.insert(stream.end(), frame.begin(), frame.end());
    expected.messages.emplace_back(own_header, message);
  }
  return difference(cut_in_pieces(framing, stream, random()), expected);
}

config::FramingSettings random_framing(std::mt19937_64& random) {
  while (true) {
    auto settings = random() % 2 == 0 ? any_framing(random) : preset_framing(random());
    settings.message_bytes_max = static_cast<std::uint32_t>(1 + random() % 97);
    if (random() % 4 == 0) add_tpdu(settings);
    if (passes_config_check(settings)) return settings;
  }
}

std::string check_framing_case(std::span<const std::uint8_t> data) {
  constexpr std::size_t kSeedBytes = 8;
  constexpr std::size_t kChoiceBytes = 2 * kSeedBytes;
  if (data.size() < kChoiceBytes) return {};
  // A preset is one byte, which stays while the stream is varied; anything else is drawn from eight.
  std::seed_seq choice(data.begin(), data.begin() + kSeedBytes);
  std::mt19937_64 random(choice);
  const bool is_preset = data[0] < 0xc0;
  auto settings = is_preset ? preset_framing(data[0]) : random_framing(random);
  if (is_preset) settings.message_bytes_max = 1 + data[1] % 97U;
  if (is_preset && data[2] < 0x40) add_tpdu(settings);
  std::uint64_t seed = 0;
  for (std::size_t i = kSeedBytes; i < kChoiceBytes; ++i) seed = seed << 8 | data[i];
  auto difference = compare_with_reference(settings, std::as_bytes(data.subspan(kChoiceBytes)), seed);
  return difference.empty() ? check_round_trip(settings, seed) : difference;
}

}  // namespace tlsmux::test
