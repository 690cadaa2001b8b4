#include "tests/simulation/bells.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "shm/assert.hpp"

namespace tlsmux::simulation {

std::uint64_t take_count(int eventfd) {
  std::uint64_t count = 0;
  return ::read(eventfd, &count, sizeof count) == sizeof count ? count : 0;
}

void Bells::watch(std::uint32_t client_index, int descriptor) {
  context_.engine_calls_world();
  const bool is_new = watched_.emplace(client_index, descriptor).second;
  TMX_ASSERT(is_new);
}

void Bells::unwatch(std::uint32_t client_index) {
  context_.engine_calls_world();
  TMX_ASSERT(watched_.contains(client_index));
  watched_.erase(client_index);
  unwatched_.push_back(client_index);
}

void Bells::wake(std::uint32_t channel_ref, int descriptor) {
  context_.engine_calls_world();
  if (descriptor < 0) throw Violation("the engine wakes a channel that has no descriptor");
  const bool is_second = std::ranges::find(wakes_, channel_ref, &Wake::channel_ref) != wakes_.end() ||
                         std::ranges::find(woken_, channel_ref) != woken_.end();
  if (is_second) throw Violation("the engine wakes a channel twice at a time");
  wakes_.push_back({.channel_ref = channel_ref, .descriptor = descriptor});
}

bool Bells::step() {
  if (wakes_.empty()) return false;
  std::swap(context_.random.pick(wakes_), wakes_.back());
  const auto wake = wakes_.back();
  wakes_.pop_back();
  const std::uint64_t one = 1;
  if (::write(wake.descriptor, &one, sizeof one) != sizeof one) {
    throw Violation("a wake descriptor was closed before its wake was written");
  }
  woken_.push_back(wake.channel_ref);
  return true;
}

bool Bells::has_news() {
  for (const auto& [client_index, descriptor] : watched_) {
    if (take_count(descriptor) > 0) rung_.push_back(client_index);
  }
  return !rung_.empty() || !unwatched_.empty() || !woken_.empty();
}

bool Bells::tell(engine::Shard& shard) {
  const bool any = has_news();
  for (const auto client_index : std::exchange(rung_, {})) shard.rung(client_index);
  for (const auto client_index : std::exchange(unwatched_, {})) shard.unwatched(client_index);
  for (const auto channel_ref : std::exchange(woken_, {})) shard.woken(channel_ref);
  return any;
}

}  // namespace tlsmux::simulation
