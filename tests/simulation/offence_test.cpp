// Clients that write what no client may write: each is detached with the rule that it broke, and nobody else notices.
#include <doctest/doctest.h>

#include <bit>
#include <cerrno>
#include <functional>

#include "shm/shared_copy.hpp"
#include "tests/simulation/shard_rig.hpp"

using namespace tlsmux;
using simulation::ShardRig;
using simulation::TestClient;

namespace {

shm::RequestDescriptor& first_descriptor(TestClient& client) {
  const auto memory = client.attached.attachment->channel(client.channels[0]->number());
  return *reinterpret_cast<shm::RequestDescriptor*>(memory.data() +
                                                    client.attached.attachment->geometry().requests_offset());
}

// Publishes one request whose descriptor was tampered with, and says what the engine objects to.
std::string offence(const std::function<void(shm::RequestDescriptor&)>& tamper) {
  ShardRig rig;
  const auto honest = rig.attach_with_channel();
  const auto hostile = rig.attach_with_channel();
  rig.context.ledger.distrust(2);
  honest->push(0, 20);
  hostile->push(0, 20);
  auto& shared = first_descriptor(*hostile);
  auto descriptor = shm::copy_from_shared(shared);
  tamper(descriptor);
  shm::copy_to_shared(shared, descriptor);
  honest->publish(0);
  hostile->publish(0);
  rig.settle();
  CHECK(honest->offences.empty());
  CHECK(honest->collect(0) == std::vector<std::string>{"ANSWERED"});
  REQUIRE(hostile->offences.size() == 1);
  // Nothing of it is looked at any more, and all of it is released.
  hostile->header(0).requests.tail.store(12345);
  rig.settle();
  CHECK(hostile->offences.size() == 1);
  rig.open_channel(*hostile, "host");
  CHECK(hostile->refusals == std::vector<int>{ESTALE});
  rig.engine.dismiss(hostile->attached.id, false);
  rig.settle();
  rig.advance_ms(100'000);
  CHECK(rig.engine.multiplexer().requests_held() == 0);
  honest->push(0, 20);
  honest->publish(0);
  rig.settle();
  CHECK(honest->collect(0).size() == 1);
  return hostile->offences[0];
}

}  // namespace

TEST_CASE("hostile.each rule for descriptors") {
  using Descriptor = shm::RequestDescriptor;
  CHECK(offence([](Descriptor& one) { one.operation = std::bit_cast<shm::Operation>(std::uint16_t{7}); }) ==
        "a descriptor asks for an unknown operation");
  CHECK(offence([](Descriptor& one) { one.request_slot = 8; }) == "a descriptor names a slot that does not exist");
  CHECK(offence([](Descriptor& one) { one.response_slot = ~0U; }) == "a descriptor names a slot that does not exist");
  CHECK(offence([](Descriptor& one) { one.response_slot = one.request_slot; }) ==
        "a descriptor names one slot for both directions");
  CHECK(offence([](Descriptor& one) { one.length = 0; }) == "a descriptor's message is empty");
  CHECK(offence([](Descriptor& one) { one.length = 101; }) ==
        "a descriptor's message is longer than its slot or the upstream's limit");
  CHECK(offence([](Descriptor& one) { one.generation = shm::kGenerationMax + 1; }) ==
        "a descriptor's generation is impossible");
}

TEST_CASE("hostile.a descriptor that names a slot in use") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  rig.context.faults[simulation::Fault::silent] = 1000;
  client->push(0, 20);
  client->publish(0);
  rig.settle();
  const auto copy = shm::copy_from_shared(first_descriptor(*client));
  client->push(0, 20);
  auto& second = *(&first_descriptor(*client) + 1);
  shm::copy_to_shared(second, copy);
  client->publish(0);
  rig.settle();
  CHECK(client->offences == std::vector<std::string>{"a descriptor names a slot that is in use"});
}

TEST_CASE("hostile.a ring whose tail runs ahead") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  client->header(0).requests.tail.store(9);
  client->words().ready.store(~0ULL);
  client->push(0, 20);
  client->channels[0]->attachment().announce(0, 0);
  rig.settle();
  CHECK(client->offences == std::vector<std::string>{"a request ring's tail ran ahead of the ring"});
}

TEST_CASE("hostile.a slot word that was overwritten while its request was open") {
  ShardRig rig;
  const auto client = rig.attach_with_channel();
  rig.context.ledger.distrust(1);
  client->push(0, 20);
  const auto memory = client->attached.attachment->channel(client->channels[0]->number());
  const auto& geometry = client->attached.attachment->geometry();
  auto* const controls = reinterpret_cast<shm::SlotControl*>(memory.data() + geometry.slot_controls_offset());
  const auto descriptor = shm::copy_from_shared(first_descriptor(*client));
  SUBCASE("another generation") { controls[descriptor.request_slot].word.start(descriptor.generation + 1); }
  SUBCASE("a state that only the engine gives") {
    controls[descriptor.request_slot].word.try_move(descriptor.generation, shm::SlotState::queued,
                                                    shm::SlotState::answered);
  }
  client->publish(0);
  rig.settle();
  CHECK(client->offences == std::vector<std::string>{"a slot word was overwritten while its request was open"});
}
