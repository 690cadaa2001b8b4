// A client that writes where it should not.

#include "tests/simulation/client_process.hpp"

namespace tlsmux::simulation {

void ClientProcess::scribble() {
  if (channels_.empty()) return;
  if (!mad_) {
    context_.trace("client " + std::to_string(number_) + " scribbles");
    context_.ledger.distrust(number_);
  }
  mad_ = true;
  auto& random = context_.random;
  const auto& geometry = attached_->attachment->geometry();
  const auto channel_number = random.pick(channels_).attached->number();
  const auto memory = attached_->attachment->channel(channel_number);
  const auto words = std::span(reinterpret_cast<std::uint64_t*>(memory.data()), memory.size() / 8);
  if (random.below(4) == 0) {
    const auto header = memory.data() - geometry.channel_offset(channel_number);
    reinterpret_cast<shm::ClientHeader*>(header)->shards[0].ready.store(random.next());
  }
  // Rings and slot words are a small part of the memory and most of what matters.
  const auto reach = random.below(4) == 0 ? words.size() : geometry.slots_offset() / 8;
  for (auto count = random.between(1, 4); count > 0; --count) {
    auto& word = words[random.below(reach)];
    switch (random.below(4)) {
      case 0: word = random.next(); break;
      case 1: word += random.between(1, 4); break;
      case 2: word = (word & ~0xffULL) | random.below(9); break;  // another state, where it is a slot word
      default: word = random.below(geometry.slots_per_channel + 2); break;
    }
  }
  channels_.front().attached->publish();
}

}  // namespace tlsmux::simulation
