// A client that writes any bytes into its memory, at any time, while another of its group and one of another group work: the
// offender is detached, or gets what it has asked for; the others' requests end truly (the simulation's ledger watches),
// and nothing of the offender is left.
#include <memory>
#include <string>

#include "shm/shared_copy.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/fuzz/fatal_checks.hpp"
#include "tests/simulation/shard_rig.hpp"

using namespace tlsmux;
using simulation::ShardRig;
using simulation::TestClient;

namespace {

// Small, since it is made anew for each input; and it can be full.
config::Config small_config() {
  auto config = simulation::shard_config();
  config.engine.in_flight_max = 12;
  return config;
}

class Scene {
 public:
  Scene() {
    others_ = rig_.attach(1);
    rig_.open_channel(*others_, "other");
    rig_.context.ledger.distrust(hostile_->id);
  }

  void step(fuzz::Choices& choices) {
    switch (choices.next() % 12) {
      case 0:
      case 1: return submit(choices);
      case 2: return overwrite_word(choices);
      case 3: return move_index(choices);
      case 4: return hostile_->words().ready.store(choices.next_64());
      case 5: return publish();
      case 6: return rig_.settle();
      case 7: return rig_.advance_ms(choices.next() * 40U);
      case 8: return work(*honest_);
      case 9: return work(*others_);
      case 10: rig_.context.faults[simulation::Fault::silent] = choices.next() % 2 * 1000; return;
      default: return bend_slot(choices);
    }
  }

  void end() {
    rig_.context.faults[simulation::Fault::silent] = 0;
    rig_.settle();
    rig_.engine.dismiss(hostile_->attached.id, true);
    rig_.settle();
    rig_.advance_ms(100'000);
    for (auto* client : {honest_.get(), others_.get()}) {
      static_cast<void>(client->collect(0));
      fuzz::require(client->offences.empty(), "an honest client was detached");
      submit_one(*client);
    }
    rig_.settle();
    for (auto* client : {honest_.get(), others_.get()}) {
      const auto outcomes = client->collect(0);
      fuzz::require(outcomes.size() == 1 && outcomes[0] == "ANSWERED", "an honest client is not served any more");
    }
    fuzz::require(rig_.engine.multiplexer().requests_held() == 0, "a request is held that has ended");
    fuzz::require(hostile_->offences.size() <= 1, "detached twice");
  }

 private:
  [[nodiscard]] std::span<std::byte> memory() const {
    return hostile_->attached.attachment->channel(hostile_->channels[0]->number());
  }
  [[nodiscard]] const shm::ClientGeometry& geometry() const { return hostile_->attached.attachment->geometry(); }
  shm::SlotControl* controls() const {
    return reinterpret_cast<shm::SlotControl*>(memory().data() + geometry().slot_controls_offset());
  }

  void publish() { hostile_->channels[0]->attachment().announce(0, hostile_->channels[0]->number()); }

  // A request that keeps to the rules, but for what is bent.
  void submit(fuzz::Choices& choices) {
    auto& tail = hostile_->header(0).requests.tail;
    const auto position = tail.load();
    const auto how = choices.next();
    shm::RequestDescriptor descriptor{.tag = position,
                                      .generation = ++generation_,
                                      .request_slot = choices.next() % 9U,
                                      .response_slot = choices.next() % 9U,
                                      .length = choices.next() % 128U,
                                      .timeout_ms = choices.next() * 8U,
                                      .operation = static_cast<shm::Operation>(1 + how % 3)};
    if (how % 4 != 0 && descriptor.request_slot < geometry().slots_per_channel) {
      controls()[descriptor.request_slot].word.start(descriptor.generation);
    }
    if ((how & 8) != 0) descriptor.notice = choices.next();
    if ((how & 16) != 0) choices.bend(std::as_writable_bytes(std::span(&descriptor, 1)));
    const auto entry = position % geometry().ring_entries();
    auto* const ring = reinterpret_cast<shm::RequestDescriptor*>(memory().data() + geometry().requests_offset());
    shm::copy_to_shared(ring[entry], descriptor);
    tail.store(position + 1);
    if ((how & 32) == 0) publish();
    if ((how & 64) == 0) rig_.settle();
  }

  // Anywhere in rings, slot words and slots.
  void overwrite_word(fuzz::Choices& choices) {
    const auto words = std::span(reinterpret_cast<std::uint64_t*>(memory().data()), memory().size() / 8);
    auto& word = words[choices.next_16() % words.size()];
    const auto how = choices.next();
    if (how < 64) {
      word = choices.next();
    } else if (how < 128) {
      word += choices.next();
    } else {
      word = choices.next_64();
    }
  }

  void move_index(fuzz::Choices& choices) {
    auto& header = hostile_->header(0);
    const auto by = static_cast<std::int8_t>(choices.next());
    switch (choices.next() % 6) {
      case 0: header.requests.tail += static_cast<std::uint64_t>(by); break;
      case 1: header.requests.head += static_cast<std::uint64_t>(by); break;
      case 2: header.completions.head += static_cast<std::uint64_t>(by); break;
      case 3: header.completions.tail += static_cast<std::uint64_t>(by); break;
      case 4: header.completions.seen += static_cast<std::uint64_t>(by); break;
      default: header.trace_numbers.taken += static_cast<std::uint32_t>(by); break;
    }
  }

  void bend_slot(fuzz::Choices& choices) {
    auto& control = controls()[choices.next() % geometry().slots_per_channel];
    const auto truth = control.word.load();
    control.word.try_move(truth.generation, truth.state, static_cast<shm::SlotState>(choices.next() % 10));
  }

  void work(TestClient& client) {
    static_cast<void>(client.collect(0));
    if (!client.channels[0]->has_free_slots()) return;
    submit_one(client);
  }
  void submit_one(TestClient& client) {
    client.push(0, 20);
    client.publish(0);
  }

  ShardRig rig_{small_config()};
  std::unique_ptr<TestClient> honest_ = rig_.attach_with_channel();
  std::unique_ptr<TestClient> hostile_ = rig_.attach_with_channel();
  std::unique_ptr<TestClient> others_;
  std::uint64_t generation_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::make_checks_fatal();
  fuzz::Choices choices({data, size});
  Scene scene;
  for (int count = 0; count < 64 && !choices.empty(); ++count) scene.step(choices);
  scene.end();
  return 0;
}
