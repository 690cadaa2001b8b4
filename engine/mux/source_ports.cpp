#include "engine/mux/source_ports.hpp"

#include <algorithm>

#include "shm/assert.hpp"

namespace tlsmux::engine::mux {
namespace {

template <class List>
bool holds(const List& list, std::uint16_t port) {
  return std::ranges::find(list, port) != list.end();
}

}  // namespace

void SourcePorts::set(const std::vector<std::uint16_t>& ports) {
  ports_ = ports;
  std::erase_if(free_, [this](std::uint16_t port) { return !holds(ports_, port); });
  for (const std::uint16_t port : ports_) {
    if (!holds(free_, port) && !holds(taken_, port)) free_.push_back(port);
  }
}

std::optional<std::uint16_t> SourcePorts::take() {
  if (free_.empty()) return std::nullopt;
  const std::uint16_t port = free_.front();
  free_.pop_front();
  taken_.push_back(port);
  return port;
}

void SourcePorts::give_back(std::uint16_t port) {
  const auto given_back = std::erase(taken_, port);
  TMX_ASSERT(given_back == 1);
  if (holds(ports_, port)) free_.push_back(port);
}

}  // namespace tlsmux::engine::mux
