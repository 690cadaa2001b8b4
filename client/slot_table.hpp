#pragma once

// Who holds each slot of a channel, kept in private memory. One thread.

#include <array>
#include <cstdint>
#include <vector>

namespace tlsmux::client {

// A slot may be held by several: an answer that the application reads while the engine has not yet returned the slot.
enum class Holder : std::uint8_t {
  application = 1,
  engine = 2,
  queue = 4,  // the outcome waits for the application: if the process dies now, another will need what lies here
};

// Names one use of one slot: after the slot was used again, the name means nothing any more.
struct SlotUse {
  std::uint32_t slot = 0;
  std::uint64_t generation = 0;
  friend bool operator==(const SlotUse&, const SlotUse&) = default;
};

class SlotTable {
 public:
  // With `notes_freed`, which slots have become free can be asked.
  explicit SlotTable(std::uint32_t slots, bool notes_freed = false);

  [[nodiscard]] std::uint32_t free_count() const { return static_cast<std::uint32_t>(free_.size()); }

  // Requires free_count() > 0. Each use of a slot gets the next generation.
  SlotUse take(Holder holder);

  void add_holder(std::uint32_t slot, Holder holder);
  // The slot is free again when nobody holds it. No effect if that one does not.
  void drop_holder(std::uint32_t slot, Holder holder);

  // False also when the slot number is out of range or the generation is not the present one.
  [[nodiscard]] bool holds(SlotUse use, Holder holder) const;
  [[nodiscard]] std::uint64_t generation(std::uint32_t slot) const { return slots_[slot].generation; }
  // Calls `on_slot` for each slot that has become free since the last call, and is still free.
  template <typename OnSlot>
  void take_freed(OnSlot on_slot) {
    for (const auto slot : freed_) {
      slots_[slot].is_noted = false;
      if (slots_[slot].holders == 0) on_slot(slot);
    }
    freed_.clear();
  }
  // It has become free since the last take_freed, if only to be taken again.
  [[nodiscard]] bool is_noted(std::uint32_t slot) const { return slots_[slot].is_noted; }
  // How many slots that one holds.
  [[nodiscard]] std::uint32_t held(Holder holder) const;

 private:
  struct Slot {
    std::uint64_t generation = 0;
    std::uint8_t holders = 0;
    bool is_noted = false;  // stands in freed_
  };

  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> freed_;  // each once
  bool notes_freed_ = false;
  std::array<std::uint32_t, 3> held_{};  // by the holder's bit
};

}  // namespace tlsmux::client
