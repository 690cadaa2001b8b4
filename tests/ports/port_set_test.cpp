#include <doctest/doctest.h>

#include <random>
#include <set>

#include "ports/book/port_bitmap.hpp"
#include "ports/book/port_plan.hpp"
#include "ports/book/port_set.hpp"
#include "tests/support/seed.hpp"

using namespace tlsmux;

TEST_CASE("ports.set: text and ranges") {
  ports::PortSet set;
  CHECK(set.text().empty());
  set.add(5000);
  set.add(ports::PortRange{1000, 1002});
  set.add(1003);
  set.add(ports::PortRange{65534, 65535});
  CHECK(set.text() == "1000-1003,5000,65534-65535");
  CHECK(set.count() == 7);
  CHECK(ports::PortSet::parse("1000-1003,5000,65534-65535\n") == set);
  CHECK(ports::PortSet::parse("")->empty());
  CHECK(ports::PortSet::parse("\n")->empty());
  set.remove(1001);
  CHECK(set.ranges() == std::vector<ports::PortRange>{{1000, 1000}, {1002, 1003}, {5000, 5000}, {65534, 65535}});
}

TEST_CASE("ports.set: what is no list of ports is refused in words") {
  for (const auto* text : {"1-", "-1", "a", "1,,2", "65536", "3-2", "1 2", "1,", "1-2-3", "+1"}) {
    CAPTURE(text);
    const auto set = ports::PortSet::parse(text);
    REQUIRE_FALSE(set);
    CHECK(set.error().size() > 10);
  }
}

TEST_CASE("ports.set: union, intersection, difference") {
  const auto one = *ports::PortSet::parse("1-10");
  const auto other = *ports::PortSet::parse("5-15");
  CHECK((ports::PortSet(one) |= other).text() == "1-15");
  CHECK((ports::PortSet(one) &= other).text() == "5-10");
  CHECK((ports::PortSet(one) -= other).text() == "1-4");
}

TEST_CASE("ports.plan: a static port in a range is not dynamic, of the protocols that it is of") {
  config::GroupSettings group{.name = "EBANKING", .users = {}, .unix_groups = {}, .memory = {}};
  group.ports.dynamic = {{.from = 1000, .to = 1009, .protocols = config::PortProtocols::both}};
  group.ports.static_ports = {{.port = 1003, .protocol = config::PortProtocols::tcp, .label = "A", .program = {}},
                              {.port = 53, .protocol = config::PortProtocols::both, .label = "B", .program = "named"}};
  group.ports.reuse_delay_ms = 7;
  const auto plan = ports::make_plan(group);
  CHECK(plan.service == "EBANKING");
  CHECK(plan.reuse_delay_ns == 7'000'000);
  CHECK(plan.dynamic[0].text() == "1000-1002,1004-1009");
  CHECK(plan.dynamic[1].text() == "1000-1009");
  CHECK(plan.static_ports.size() == 3);
  CHECK(plan.all(ports::Protocol::tcp).text() == "53,1000-1009");
  CHECK(plan.all(ports::Protocol::udp).text() == "53,1000-1009");
  CHECK(plan.contains({ports::Protocol::udp, 53}));
  CHECK_FALSE(plan.contains({ports::Protocol::udp, 54}));
}

TEST_CASE("ports.bitmap: gives out what is free, and goes round, like a set") {
  ports::PortBitmap bitmap;
  std::set<std::uint16_t> free;
  std::mt19937_64 random(test::seed());
  INFO("TLSMUX_SEED=", test::seed());
  std::uint32_t cursor = 0;
  bool is_right = true;
  for (int step = 0; step < 200'000 && is_right; ++step) {
    // Few of them, far apart, so that words and groups of words are empty.
    const auto port = static_cast<std::uint16_t>(random() % 40 * 1638 + random() % 3);
    switch (random() % 4) {
      case 0:
        bitmap.put(port);
        free.insert(port);
        break;
      case 1:
        bitmap.take(port);
        free.erase(port);
        break;
      default: {
        auto next = free.lower_bound(static_cast<std::uint16_t>(cursor));
        if (cursor == 65536 || next == free.end()) next = free.begin();
        const auto taken = bitmap.take_next();
        is_right = taken.has_value() == (next != free.end()) && (!taken || *taken == *next);
        if (!taken || !is_right) break;
        cursor = *taken + 1U;
        free.erase(next);
      }
    }
    is_right = is_right && bitmap.free_count() == free.size() && bitmap.is_free(port) == free.contains(port);
  }
  CHECK(is_right);
}
