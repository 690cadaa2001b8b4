#include "client/slot_table.hpp"

#include <bit>
#include <utility>

#include "shm/assert.hpp"
#include "shm/slot_word.hpp"

namespace tlsmux::client {
namespace {

std::size_t index_of(Holder holder) { return static_cast<std::size_t>(std::countr_zero(std::to_underlying(holder))); }

}  // namespace

SlotTable::SlotTable(std::uint32_t slots, bool notes_freed) : slots_(slots), notes_freed_(notes_freed) {
  free_.reserve(slots);
  if (notes_freed) freed_.reserve(slots);
  for (auto slot = slots; slot > 0; --slot) free_.push_back(slot - 1);
}

SlotUse SlotTable::take(Holder holder) {
  TMX_ASSERT(!free_.empty());
  const auto slot = free_.back();
  free_.pop_back();
  slots_[slot].generation = slots_[slot].generation % shm::kGenerationMax + 1;
  add_holder(slot, holder);
  return {.slot = slot, .generation = slots_[slot].generation};
}

void SlotTable::add_holder(std::uint32_t slot, Holder holder) {
  auto& holders = slots_[slot].holders;
  const auto bit = static_cast<std::uint8_t>(holder);
  if ((holders & bit) != 0) return;
  holders = static_cast<std::uint8_t>(holders | bit);
  ++held_[index_of(holder)];
}

void SlotTable::drop_holder(std::uint32_t slot, Holder holder) {
  auto& holders = slots_[slot].holders;
  const auto bit = static_cast<std::uint8_t>(holder);
  if ((holders & bit) == 0) return;
  holders = static_cast<std::uint8_t>(holders & ~bit);
  --held_[index_of(holder)];
  if (holders != 0) return;
  free_.push_back(slot);
  if (notes_freed_ && !std::exchange(slots_[slot].is_noted, true)) freed_.push_back(slot);
}

bool SlotTable::holds(SlotUse use, Holder holder) const {
  return use.slot < slots_.size() && slots_[use.slot].generation == use.generation &&
         (slots_[use.slot].holders & static_cast<std::uint8_t>(holder)) != 0;
}

std::uint32_t SlotTable::held(Holder holder) const { return held_[index_of(holder)]; }

}  // namespace tlsmux::client
