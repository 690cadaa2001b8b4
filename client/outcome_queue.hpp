#pragma once

// Outcomes and notices that were found and not yet handed to the application. One thread.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "client/slot_table.hpp"
#include "shm/assert.hpp"
#include "shm/layout.hpp"

namespace tlsmux::client {

// Names one slot use of one attachment.
struct SlotHandle {
  std::uint32_t epoch = 0;  // of the attachment; 0: names nothing
  SlotUse use;
  friend bool operator==(const SlotHandle&, const SlotHandle&) = default;
};

struct RequestOutcome {
  std::uint64_t tag = 0;
  shm::Outcome outcome = shm::Outcome::none;
  shm::Reason reason = shm::Reason::none;
  shm::NoticeKind kind = shm::NoticeKind::none;  // none: the outcome of a request of this channel
  std::uint32_t length = 0;
  const std::byte* data = nullptr;
  SlotHandle answer = {};   // held by the application until it releases it; of a notice: the pair that bears it
  SlotHandle request = {};  // whose outcome this is
  // The position behind the completion that told it. 0: it was decided here, or was taken out of turn.
  std::uint64_t told_at = 0;
  std::uint32_t request_length = 0;
  const std::byte* request_data = nullptr;  // of an orphan
  std::uint32_t error_offset = 0;           // of an unparsable request
  std::uint16_t error_field = 0;
  std::uint64_t notice = 0;  // names the host's message for a reply

  [[nodiscard]] bool is_notice() const { return kind != shm::NoticeKind::none; }
};

class OutcomeQueue {
 public:
  // Makes room for so many at one time; keeps what is there. Allocates.
  void set_capacity(std::size_t capacity) {
    if (capacity <= places_.size()) return;
    std::vector<RequestOutcome> places(capacity);
    for (std::size_t i = 0; i < count_; ++i) places[i] = at(i);
    places_.swap(places);
    first_ = 0;
  }

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  // Without the notices.
  [[nodiscard]] std::size_t outcomes() const { return count_ - notices_; }

  void push(const RequestOutcome& outcome) {
    TMX_ASSERT(count_ < places_.size());
    at(count_++) = outcome;
    notices_ += outcome.is_notice() ? 1 : 0;
  }

  // Requires !empty().
  RequestOutcome pop() {
    const auto outcome = at(0);
    first_ = (first_ + 1) % places_.size();
    --count_;
    notices_ -= outcome.is_notice() ? 1 : 0;
    return outcome;
  }

  // Takes the outcome of this one request out of turn.
  std::optional<RequestOutcome> take(const SlotHandle& request) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (at(i).is_notice() || at(i).request != request) continue;
      auto found = at(i);
      if (i > 0) found.told_at = 0;
      for (std::size_t next = i + 1; next < count_; ++next) at(next - 1) = at(next);
      --count_;
      return found;
    }
    return std::nullopt;
  }

 private:
  RequestOutcome& at(std::size_t position) { return places_[(first_ + position) % places_.size()]; }

  std::vector<RequestOutcome> places_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t notices_ = 0;  // of these
};

}  // namespace tlsmux::client
