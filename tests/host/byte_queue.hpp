#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "shm/assert.hpp"

namespace tlsmux::host {

// Bytes in order, contiguous in memory: added at the end, taken from the front. Views are valid until the
// next call that is not const.
class ByteQueue {
 public:
  [[nodiscard]] std::string_view bytes() const { return {storage_.data() + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] bool empty() const { return begin_ == end_; }

  // Room for `size` bytes at the end; commit() says how many were written there.
  std::span<char> prepare(std::size_t size) {
    if (storage_.size() - end_ < size) make_room(size);
    return {storage_.data() + end_, size};
  }
  void commit(std::size_t size) {
    TMX_ASSERT(size <= storage_.size() - end_);
    end_ += size;
  }

  void append(std::string_view added) {
    if (added.empty()) return;
    std::memcpy(prepare(added.size()).data(), added.data(), added.size());
    commit(added.size());
  }

  void consume(std::size_t size) {
    TMX_ASSERT(size <= this->size());
    begin_ += size;
    if (begin_ == end_) begin_ = end_ = 0;
  }

 private:
  static std::ptrdiff_t offset(std::size_t position) { return static_cast<std::ptrdiff_t>(position); }
  void make_room(std::size_t size) {
    std::copy(storage_.begin() + offset(begin_), storage_.begin() + offset(end_), storage_.begin());
    end_ -= begin_;
    begin_ = 0;
    if (storage_.size() - end_ < size) storage_.resize(std::max(end_ + size, storage_.size() * 2));
  }

  std::vector<char> storage_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace tlsmux::host
