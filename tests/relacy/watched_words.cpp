#include "tests/relacy/watched_words.hpp"

namespace tlsmux::test {
namespace {

constexpr std::size_t kPlaces = 512;

// Open addressing by the word's address. Shadows are made and ended by hand: those of an execution that has failed belong
// to a context that is gone.
struct Place {
  void* address = nullptr;
  std::size_t bytes = 0;
  alignas(Shadow) std::byte shadow[sizeof(Shadow)];
};

Place places[kPlaces];
bool any_watched = false;

Place& place_of(const void* address) {
  auto at = reinterpret_cast<std::uintptr_t>(address) / 2 % kPlaces;
  while (places[at].address != nullptr && places[at].address != address) at = (at + 1) % kPlaces;
  return places[at];
}

Shadow& shadow_at(Place& place) { return *std::launder(reinterpret_cast<Shadow*>(place.shadow)); }

}  // namespace

Shadow* shadow_of(const void* address) {
  if (!any_watched) return nullptr;
  auto& place = place_of(address);
  return place.address == nullptr ? nullptr : &shadow_at(place);
}

WatchedWords::WatchedWords() {
  for (auto& place : places) place.address = nullptr;
  any_watched = true;
}

void WatchedWords::settle() {
  for (auto& place : places) {
    auto* const address = std::exchange(place.address, nullptr);
    if (address == nullptr) continue;
    const std::uint64_t value = shadow_at(place).debug_value();
    std::memcpy(address, &value, place.bytes);
    shadow_at(place).~Shadow();
  }
  any_watched = false;
}

void WatchedWords::add(void* address, std::size_t bytes) {
  auto& place = place_of(address);
  if (place.address != nullptr) return;
  std::uint64_t value = 0;
  std::memcpy(&value, address, bytes);
  ::new (static_cast<void*>(place.shadow)) Shadow(value);
  place.address = address;
  place.bytes = bytes;
}

}  // namespace tlsmux::test
