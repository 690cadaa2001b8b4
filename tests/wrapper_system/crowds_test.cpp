// Many processes, and few sessions.

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/wrapper_system/world.hpp"

namespace tlsmux::test {
namespace {

constexpr int kRuns = 200;
constexpr std::size_t kTogether = 32;

std::string name_of(std::size_t number) {
  const auto digits = std::to_string(number);
  return "p" + std::string(9 - digits.size(), '0') + digits;
}

}  // namespace

TEST_CASE("wrapper.200 processes one after the other share one session") {
  World world({{.protocol = Protocol::messages}, {.protocol = Protocol::http}});
  // One to each upstream at a time.
  std::array<int, 2> codes{};
  for (int run = 0; run < kRuns; ++run) {
    std::array<std::unique_ptr<Program>, 2> programs;
    for (std::size_t upstream = 0; upstream < 2; ++upstream) {
      const auto name = name_of(static_cast<std::size_t>(run));
      programs[upstream] =
          std::make_unique<Program>(world.exchange(name, 2 + run % 2, upstream), world.environment("shared"));
    }
    for (std::size_t upstream = 0; upstream < 2; ++upstream) {
      codes[upstream] = programs[upstream]->wait();
      REQUIRE_MESSAGE(codes[upstream] == 0, programs[upstream]->errors());
      CHECK(programs[upstream]->errors().empty());
    }
  }
  for (std::size_t upstream = 0; upstream < 2; ++upstream) {
    const auto counts = world.host(upstream).counts();
    CHECK(counts.handshakes == 1);
    CHECK(counts.requests == kRuns / 2 * (2 + 3));
    CHECK(counts.nonsense == 0);
    CHECK(counts.cut_short == 0);
  }
}

TEST_CASE("wrapper.32 processes at once share the sessions of the pool and none of its bytes") {
  constexpr std::uint32_t kSessions = 4;
  const auto pool = [](config::UpstreamSettings& upstream) {
    upstream.sessions = upstream.sessions_max = kSessions;
    upstream.streams.wait_ms = 60'000;
  };
  World world({{.protocol = Protocol::messages, .change = pool}, {.protocol = Protocol::http, .change = pool}});
  std::vector<std::unique_ptr<Program>> programs;
  for (std::size_t i = 0; i < 2 * kTogether; ++i) {
    programs.push_back(std::make_unique<Program>(world.exchange(name_of(i), 20 + static_cast<int>(i / 2 % 2), i % 2),
                                                 world.environment("shared")));
  }
  for (auto& program : programs) {
    const int code = program->wait();
    CHECK_MESSAGE(code == 0, program->errors());
    CHECK(program->errors().empty());
  }
  for (std::size_t upstream = 0; upstream < 2; ++upstream) {
    const auto counts = world.host(upstream).counts();
    CHECK(counts.handshakes == kSessions);
    CHECK(counts.requests == kTogether / 2 * (20 + 21));
    CHECK(counts.nonsense == 0);
    CHECK(counts.cut_short == 0);
  }
}

}  // namespace tlsmux::test
