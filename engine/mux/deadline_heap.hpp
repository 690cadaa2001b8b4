#pragma once

// Requests by deadline: a binary heap in which each request knows its place, so that one that ends early leaves in
// O(log n). No allocation after construction.

#include <vector>

#include "engine/mux/request_table.hpp"

namespace tlsmux::engine::mux {

class DeadlineHeap {
 public:
  // `table` outlives it.
  explicit DeadlineHeap(RequestTable& table) : table_(&table) { items_.reserve(table.capacity()); }

  // By the request's deadline_ns, which must not change while it is in here.
  void insert(RequestIndex index);
  void remove(RequestIndex index);

  // The request with the earliest deadline; kNone when there is none.
  [[nodiscard]] RequestIndex earliest() const { return items_.empty() ? kNone : items_.front(); }

 private:
  [[nodiscard]] bool before(RequestIndex a, RequestIndex b) const {
    return (*table_)[a].deadline_ns < (*table_)[b].deadline_ns;
  }
  void place(std::size_t position, RequestIndex index) {
    items_[position] = index;
    (*table_)[index].heap_position = static_cast<std::uint32_t>(position);
  }
  void sift_up(std::size_t position);
  void sift_down(std::size_t position);

  RequestTable* table_;
  std::vector<RequestIndex> items_;
};

}  // namespace tlsmux::engine::mux
