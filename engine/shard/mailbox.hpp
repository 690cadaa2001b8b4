#pragma once

// Hands values from any number of threads to one. Off the data path: for attaching, handshakes, name resolution.

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "shm/assert.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine {

template <typename Value>
class Mailbox {
 public:
  Mailbox() : bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) { TMX_ASSERT(bell_); }

  // Any thread. Rings the descriptor when the box was empty. Several values are taken together.
  template <typename... Values>
  void post(Values&&... values) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      was_empty = values_.empty();
      (values_.emplace_back(std::forward<Values>(values)), ...);
    }
    if (was_empty) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const auto written = ::write(bell_.get(), &one, sizeof one);
    }
  }

  // The receiving thread. Everything that has been posted, in order.
  std::vector<Value> take() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(bell_.get(), &count, sizeof count);
    const std::lock_guard lock(mutex_);
    return std::exchange(values_, {});
  }

  // Readable while something may be waiting.
  [[nodiscard]] int descriptor() const { return bell_.get(); }

 private:
  shm::UniqueFd bell_;
  std::mutex mutex_;
  std::vector<Value> values_;
};

}  // namespace tlsmux::engine
