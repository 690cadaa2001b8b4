#include "tests/hostile/chaos_client.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <vector>

#include "tests/broker/process.hpp"

namespace tlsmux::test {

std::uint64_t Chaos::odd(std::uint64_t limit) {
  switch (below(6)) {
    case 0: return 0;
    case 1: return limit;
    case 2: return limit - 1;
    case 3: return limit + 1;
    case 4: return ~std::uint64_t{0};
    default: return random();
  }
}

void Chaos::fill(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const auto value = random();
    const auto count = std::min(bytes.size(), sizeof value);
    std::memcpy(bytes.data(), &value, count);
    bytes = bytes.subspan(count);
  }
}

int run_chaos(const ChaosOrder& order) {
  if (::geteuid() == 0 && !become_user(order.user)) return 1;
  // Any user may keep the processors busy, tlsmux or not: rates are to show what else reaches the neighbours.
  if (std::getenv(kRatesAsked) != nullptr && ::nice(kLeastPriority) == -1) return 1;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // of children that went on
  Chaos chaos{.config = order.config, .redirected_port = order.redirected_port, .random = std::mt19937_64(order.seed)};
  std::vector<Act> acts;
  std::ranges::copy(memory_acts(), std::back_inserter(acts));
  std::ranges::copy(control_acts(), std::back_inserter(acts));
  if (acts.size() > kActsMax) return 2;
  std::vector<std::size_t> turn(acts.size());
  for (std::size_t i = 0; i < turn.size(); ++i) turn[i] = i;
  std::ranges::shuffle(turn, chaos.random);
  for (const auto i : turn) {
    if (acts[i].run(chaos)) ++order.counts[i];
  }
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  return chaos.others_suffered ? 3 : 0;
}

}  // namespace tlsmux::test
