#include "engine/mux/request_table.hpp"

#include "shm/assert.hpp"

namespace tlsmux::engine::mux {

RequestTable::RequestTable(std::size_t capacity, std::size_t prefix_bytes_max)
    : requests_(capacity),
      prefixes_(std::make_unique_for_overwrite<std::byte[]>(capacity * prefix_bytes_max)),
      prefix_stride_(prefix_bytes_max) {
  for (std::size_t i = capacity; i > 0; --i) {
    requests_[i - 1].next = free_;
    free_ = static_cast<RequestIndex>(i - 1);
  }
}

RequestIndex RequestTable::allocate() {
  if (free_ == kNone) return kNone;
  const auto index = free_;
  free_ = requests_[index].next;
  requests_[index] = {};
  ++in_use_;
  return index;
}

void RequestTable::release(RequestIndex index) {
  TMX_ASSERT(requests_[index].state != RequestState::free);
  requests_[index].state = RequestState::free;
  requests_[index].next = free_;
  free_ = index;
  --in_use_;
}

void RequestList::push_back(RequestTable& table, RequestIndex index) {
  auto& request = table[index];
  request.previous = tail_;
  request.next = kNone;
  (tail_ == kNone ? head_ : table[tail_].next) = index;
  tail_ = index;
  ++size_;
}

void RequestList::push_front(RequestTable& table, RequestIndex index) {
  auto& request = table[index];
  request.previous = kNone;
  request.next = head_;
  (head_ == kNone ? tail_ : table[head_].previous) = index;
  head_ = index;
  ++size_;
}

void RequestList::remove(RequestTable& table, RequestIndex index) {
  auto& request = table[index];
  TMX_ASSERT(size_ > 0);
  (request.previous == kNone ? head_ : table[request.previous].next) = request.next;
  (request.next == kNone ? tail_ : table[request.next].previous) = request.previous;
  request.previous = request.next = kNone;
  --size_;
}

}  // namespace tlsmux::engine::mux
