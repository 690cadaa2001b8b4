#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/host/random.hpp"

namespace tlsmux::host {

// Collects answers of all connections until there are `size`, and gives them out in random order.
class ShuffleWindow {
 public:
  struct Answer {
    std::uint64_t connection = 0;
    std::string bytes;  // framed
  };

  ShuffleWindow(std::size_t size, std::uint64_t seed) : size_(size), random_(seed) {}

  [[nodiscard]] bool empty() const { return answers_.empty(); }
  [[nodiscard]] bool full() const { return answers_.size() >= size_; }
  // How often it was emptied.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

  void add(Answer answer) { answers_.push_back(std::move(answer)); }

  // All that it holds, in random order (Fisher and Yates).
  std::vector<Answer> take() {
    ++generation_;
    for (std::size_t left = answers_.size(); left > 1; --left) {
      std::swap(answers_[left - 1], answers_[random_.below(left)]);
    }
    return std::exchange(answers_, {});
  }

 private:
  std::size_t size_;
  Random random_;
  std::vector<Answer> answers_;
  std::uint64_t generation_ = 0;
};

}  // namespace tlsmux::host
