// The soak sees what is held when all should be quiet.

#include <string>

#include <doctest/doctest.h>

#include "tests/soak/quiet_point.hpp"
#include "tests/soak/report.hpp"

namespace tlsmux::soak {

TEST_CASE("faults.soak takes whatever is held when all is quiet for a finding") {
  const Held right{.clients = 4, .channels = 3, .sessions = 8, .ports_leased = 8};
  CHECK(too_much(right, 4).empty());
  auto wrong = right;
  SUBCASE("a client") { wrong.clients = 5; }
  SUBCASE("a slot") { wrong.slots = 1; }
  SUBCASE("a request") { wrong.in_flight = 1; }
  SUBCASE("a stream") { wrong.streams = 1; }
  SUBCASE("a session that does not come") { wrong.sessions_missing = 1; }
  SUBCASE("a port") { wrong.ports = 1; }
  CHECK_FALSE(too_much(wrong, 4).empty());
}

TEST_CASE("faults.soak finds what grows in the life of an engine, and nothing else") {
  Report report(1e9);  // prints no line
  for (int i = 0; i < 30; ++i) {
    Sample sample;
    sample.quiet.at_s = i * 30;
    sample.quiet.engine_pid = i < 12 ? 1 : 2;
    sample.quiet.engine.resident_kb = 40'000 + (i < 12 ? 0U : 200U * static_cast<unsigned>(i));
    sample.quiet.engine.descriptors = i < 12 ? 44 : 60;
    report.add(sample);
  }
  CHECK(report.engines() == 2);
  std::string found;
  for (const auto& verdict : report.verdicts()) {
    if (verdict.trend.grows)
      found += std::string(verdict.resource->name) + " " + std::to_string(verdict.engine_pid) + ";";
  }
  CHECK(found == "engine resident kB 2;");
}

}  // namespace tlsmux::soak
