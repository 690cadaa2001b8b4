#include "tests/simulation/bells.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace tlsmux::simulation {
namespace {

void must_be_open(int descriptor, const char* otherwise) {
  if (::fcntl(descriptor, F_GETFD) < 0) throw Violation(otherwise);
}

}  // namespace

std::uint64_t take_count(int eventfd) {
  std::uint64_t count = 0;
  return ::read(eventfd, &count, sizeof count) == sizeof count ? count : 0;
}

void Bells::watch(std::uint32_t client_index, int descriptor) {
  const auto memory = context_.engine_calls_world();
  const bool still_ends =
      std::ranges::find(unwatched_, client_index, &std::pair<std::uint32_t, int>::first) != unwatched_.end();
  if (still_ends || !watched_.emplace(client_index, descriptor).second) {
    throw Violation("the engine watches two doorbells under one number");
  }
}

void Bells::unwatch(std::uint32_t client_index) {
  const auto memory = context_.engine_calls_world();
  const auto watched = watched_.extract(client_index);
  if (watched.empty()) throw Violation("the engine stops watching what it does not watch");
  unwatched_.emplace_back(client_index, watched.mapped());
}

void Bells::wake(std::uint32_t channel_ref, int descriptor) {
  const auto memory = context_.engine_calls_world();
  must_be_open(descriptor, "the engine wakes a channel that has no descriptor");
  const auto is_same = [&](const Wake& wake) { return wake.channel_ref == channel_ref; };
  if (std::ranges::any_of(wakes_, is_same) || std::ranges::any_of(woken_, is_same)) {
    throw Violation("the engine wakes a channel twice at a time");
  }
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
  woken_.push_back(wake);
  return true;
}

bool Bells::has_news() {
  for (const auto& [client_index, descriptor] : watched_) {
    if (take_count(descriptor) > 0) rung_.push_back(client_index);
  }
  return !rung_.empty() || !unwatched_.empty() || !woken_.empty();
}

// The rest comes with a later turn.
template <typename News>
std::vector<News> Bells::take_some(std::vector<News>& news) {
  const auto count = context_.faults.none() || news.empty() ? news.size() : context_.random.below(news.size() + 1);
  const auto end = news.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<News> taken(news.begin(), end);
  news.erase(news.begin(), end);
  return taken;
}

bool Bells::tell(engine::Shard& shard) {
  const bool any = has_news();
  for (const auto client_index : take_some(rung_)) context_.engine_acts([&] { shard.rung(client_index); });
  for (const auto& [client_index, descriptor] : take_some(unwatched_)) {
    must_be_open(descriptor, "a doorbell was closed while it was still watched");
    context_.engine_acts([&] { shard.unwatched(client_index); });
  }
  for (const auto& wake : take_some(woken_)) {
    must_be_open(wake.descriptor, "a wake descriptor was closed before the engine knew that it was written");
    context_.engine_acts([&] { shard.woken(wake.channel_ref); });
  }
  return any;
}

}  // namespace tlsmux::simulation
