#pragma once

// A network for a fuzz target that opens sockets by the thousand. The machine's would fill with those that wait for their
// end (TIME_WAIT), which makes every bind() of everybody slower and slower; here none does, and nobody else's is seen.

#include <cstdio>
#include <exception>

#include "tests/support/network_namespace.hpp"

namespace tlsmux::fuzz {

// Once it is made, the calling thread is in it, and those are that it starts. Without root it stays in the machine's.
struct OwnNetwork {
  OwnNetwork() {
    try {
      const test::NetworkNamespace network;
      network.set_sysctl("net/ipv4/tcp_max_tw_buckets", "0");
      network.enter();
    } catch (const std::exception& failure) {
      std::fprintf(stderr, "fuzz: in the machine's network: %s\n", failure.what());
    }
  }
};

}  // namespace tlsmux::fuzz
