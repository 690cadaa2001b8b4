#pragma once

// A member that does what it likes: with its memory, its descriptors, the control socket, streams and the wrapper's listener. What
// comes next is drawn from a seed.

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <span>

#include "config/config.hpp"
#include "tests/faults/raw_channel.hpp"

namespace tlsmux::test {

inline constexpr const char* kUpstreamOfChaos = "rubbish";  // for its streams
// For its requests, at both shards. The neighbours' go to the first two.
inline constexpr std::array<const char*, 3> kUpstreamsOfRequests = {"acquirer", "second", "iso8583"};
// All names below it have upstreams made for them.
inline constexpr const char* kDomainOfChaos = ".invalid";

// In the environment: neighbours' rates are taken (neighbour_rates.hpp).
inline constexpr const char* kRatesAsked = "TLSMUX_HOSTILE_RATES";
// That of hostile clients, if rates are taken: it takes least from others.
inline constexpr int kLeastPriority = 19;

// What one act needs. No call throws or waits for what may never come.
struct Chaos {
  const config::Config& config;
  std::uint16_t redirected_port = 0;  // a rule shares connections to it, on 127.0.0.1
  std::mt19937_64 random;
  bool others_suffered = false;  // an act saw that the engine did not work for them

  std::uint64_t below(std::uint64_t bound) { return random() % bound; }
  std::optional<RawChannel> open(std::uint32_t flags = 0) {
    return RawChannel::try_open(config, kUpstreamsOfRequests[below(kUpstreamsOfRequests.size())], flags);
  }
  // Numbers near the limits are likelier to hurt than any.
  std::uint64_t odd(std::uint64_t limit);
  void fill(std::span<std::byte> bytes);
};

struct Act {
  const char* name;
  // Whether it came to do it: places, ports and made upstreams can be all taken.
  bool (*run)(Chaos&);
};

std::span<const Act> memory_acts();
std::span<const Act> control_acts();

inline constexpr std::size_t kActsMax = 32;
// How often each act was done, the memory's before the control socket's; shared by all processes.
using ActCounts = std::array<std::atomic<std::uint64_t>, kActsMax>;

struct ChaosOrder {
  const config::Config& config;
  std::uint16_t redirected_port = 0;
  std::uint64_t seed = 0;
  uid_t user = 0;  // that it becomes, if it is root
  ActCounts& counts;
};

// In a child: each act once, in an order of chance. The exit code.
int run_chaos(const ChaosOrder& order);

}  // namespace tlsmux::test
