#include "tests/message/boundary_check.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <string_view>

#include "config/framing_presets.hpp"
#include "tests/message/boundary_script.hpp"

namespace tlsmux::test {
namespace {

using engine::message::Boundary;
using engine::message::Framing;
using namespace std::string_view_literals;

struct Probe {
  std::string_view preset;
  std::string_view question;
  std::string_view answer;
};

constexpr std::array kProbes{
    Probe{"http1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"},
    Probe{"length16", "\0\1q"sv, "\0\1a"sv},
    Probe{"crlf", "q\r\n", "a\r\n"},
    Probe{"rbp", "\xd0\x4a\0\1\0\0q"sv, "\xd0\x4a\0\1\0\0a"sv},
};

std::string check_states(const BoundaryState& whole, const BoundaryState& pieces) {
  if (whole.is_clean && whole.is_owed) return "clean, but owed an answer";
  if (whole.is_clean != pieces.is_clean) return "clean, or not, by the pieces in which it came";
  if (whole.is_owed != pieces.is_owed) return "owed an answer, or not, by the pieces in which it came";
  if (whole.idle_max_s != pieces.idle_max_s) return "the idle times differ by the pieces in which they came";
  return {};
}

// What is clean takes an exchange, again and again.
std::string check_probe(Boundary& boundary, const Probe& probe) {
  for (int i = 0; i < 2 && boundary.is_clean(); ++i) {
    pass(boundary, true, probe.question);
    if (boundary.is_clean() || !boundary.is_owed()) return "clean before the answer";
    pass(boundary, false, probe.answer);
    if (!boundary.is_clean()) return "not clean after an exchange that began clean";
  }
  return {};
}

}  // namespace

std::string check_boundary_case(std::span<const std::uint8_t> data) {
  constexpr std::size_t kSeedBytes = 8;
  if (data.size() < 1 + kSeedBytes) return {};
  // Most of them HTTP: the others have a fuzz target of their own.
  const Probe& probe = kProbes[data[0] < 0xc0 ? 0 : data[0] % kProbes.size()];
  std::seed_seq seed(data.begin() + 1, data.begin() + 1 + kSeedBytes);
  std::mt19937_64 random(seed);
  auto settings = std::ranges::find(config::framing_presets(), probe.preset, &config::FramingPreset::name)->settings;
  settings.message_bytes_max = 100;
  const Framing framing(settings);
  const auto whole = engine::message::make_boundary(settings, framing);
  const auto pieces = engine::message::make_boundary(settings, framing);
  std::string_view rest(reinterpret_cast<const char*>(data.data()) + 1 + kSeedBytes, data.size() - 1 - kSeedBytes);
  for (bool to_host = true;; to_host = !to_host) {
    const std::size_t turn = rest.find('\x01');
    std::string_view step = rest.substr(0, turn);
    pass(*whole, to_host, step);
    while (!step.empty()) {
      const std::size_t count = std::min<std::size_t>(step.size(), 1 + random() % (random() % 3 == 0 ? 40 : 4));
      pass(*pieces, to_host, step.substr(0, count));
      step.remove_prefix(count);
    }
    if (auto difference = check_states(state_of(*whole), state_of(*pieces)); !difference.empty()) return difference;
    if (whole->is_owed_at_end() && !whole->is_owed()) return "owed nothing, but an answer at the end";
    if (turn == std::string_view::npos) break;
    rest.remove_prefix(turn + 1);
  }
  auto difference = check_probe(*whole, probe);
  return difference.empty() ? check_probe(*pieces, probe) : difference;
}

}  // namespace tlsmux::test
