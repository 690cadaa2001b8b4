#include "engine/mux/deadline_heap.hpp"

#include "shm/assert.hpp"

namespace tlsmux::engine::mux {

void DeadlineHeap::insert(RequestIndex index) {
  TMX_ASSERT((*table_)[index].heap_position == kNone);
  items_.push_back(index);
  place(items_.size() - 1, index);
  sift_up(items_.size() - 1);
}

void DeadlineHeap::remove(RequestIndex index) {
  const std::size_t position = (*table_)[index].heap_position;
  TMX_ASSERT(position < items_.size() && items_[position] == index);
  (*table_)[index].heap_position = kNone;
  const auto last = items_.back();
  items_.pop_back();
  if (last == index) return;
  place(position, last);
  sift_up(position);
  sift_down((*table_)[last].heap_position);
}

void DeadlineHeap::sift_up(std::size_t position) {
  const auto index = items_[position];
  while (position > 0) {
    const auto parent = (position - 1) / 2;
    if (!before(index, items_[parent])) break;
    place(position, items_[parent]);
    position = parent;
  }
  place(position, index);
}

void DeadlineHeap::sift_down(std::size_t position) {
  const auto index = items_[position];
  for (;;) {
    auto child = 2 * position + 1;
    if (child >= items_.size()) break;
    if (child + 1 < items_.size() && before(items_[child + 1], items_[child])) ++child;
    if (!before(items_[child], index)) break;
    place(position, items_[child]);
    position = child;
  }
  place(position, index);
}

}  // namespace tlsmux::engine::mux
