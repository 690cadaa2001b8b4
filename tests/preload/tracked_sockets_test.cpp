#include "client/preload/tracked_sockets.hpp"

#include <doctest/doctest.h>

#include <memory>

namespace ports = tlsmux::ports;
using tlsmux::preload::TrackedSockets;

TEST_CASE("ports.descriptors on a port are tracked until the last is gone") {
  const auto sockets = std::make_unique<TrackedSockets>();
  const ports::Port tcp{.protocol = ports::Protocol::tcp, .number = 2000};
  const ports::Port udp{.protocol = ports::Protocol::udp, .number = 2000};
  CHECK_FALSE(sockets->is_tracked(5));
  CHECK_FALSE(sockets->take(5).has_value());
  sockets->track(5, tcp);
  sockets->track(6, udp);
  sockets->copy(5, 900);
  CHECK(sockets->take(5) == tcp);
  CHECK(sockets->has(tcp));
  CHECK(sockets->take(900) == tcp);
  CHECK_FALSE(sockets->has(tcp));
  CHECK(sockets->take(6) == udp);
  CHECK_FALSE(sockets->has(udp));
}

TEST_CASE("ports.a descriptor that is replaced is tracked as what it became") {
  const auto sockets = std::make_unique<TrackedSockets>();
  const ports::Port port{.protocol = ports::Protocol::tcp, .number = 65'535};
  sockets->track(3, port);
  sockets->copy(4, 3);  // which was not tracked
  CHECK_FALSE(sockets->is_tracked(3));
  sockets->track(3, port);
  sockets->forget_all();
  CHECK_FALSE(sockets->has(port));
}

TEST_CASE("ports.descriptors beyond the table are left alone") {
  const auto sockets = std::make_unique<TrackedSockets>();
  const ports::Port port{.protocol = ports::Protocol::tcp, .number = 1};
  for (const int descriptor : {-1, TrackedSockets::kDescriptorsMax}) {
    sockets->track(descriptor, port);
    CHECK_FALSE(sockets->is_tracked(descriptor));
    CHECK_FALSE(sockets->take(descriptor).has_value());
    sockets->copy(descriptor, 1);
    CHECK_FALSE(sockets->has(port));
  }
  sockets->track(TrackedSockets::kDescriptorsMax - 1, port);
  CHECK(sockets->has(port));
}
