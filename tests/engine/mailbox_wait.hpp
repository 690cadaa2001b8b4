#pragma once

#include <poll.h>

#include <iterator>
#include <vector>

#include "engine/shard/mailbox.hpp"

namespace tlsmux::test {

// Waits on the mailbox's descriptor, as an event loop does, until `count` values have come.
template <typename Value>
std::vector<Value> take_count(engine::Mailbox<Value>& mailbox, std::size_t count) {
  std::vector<Value> taken;
  while (taken.size() < count) {
    pollfd wanted{.fd = mailbox.descriptor(), .events = POLLIN, .revents = 0};
    ::poll(&wanted, 1, -1);
    auto values = mailbox.take();
    taken.insert(taken.end(), std::move_iterator(values.begin()), std::move_iterator(values.end()));
  }
  return taken;
}

}  // namespace tlsmux::test
