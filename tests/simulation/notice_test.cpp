// What no request waits for, and to whom it goes: late answers, what the host sends unasked.
#include <doctest/doctest.h>

#include <cerrno>

#include "shm/shared_copy.hpp"
#include "tests/simulation/notice_rig.hpp"

using namespace tlsmux;
using simulation::kOthers;
using simulation::kTimeoutMs;
using simulation::Words;
using Rig = simulation::NoticeRig;

// ---- Late answers ----

TEST_CASE("engine.a late answer comes to the channel that asked for them, with the request's tag") {
  Rig rig;
  const auto client = rig.attach_with_channel(shm::kLateAnswers);
  const auto number = rig.ask_late(*client);
  CHECK(client->collect(0) == Words{"MAYBE_SENT deadline", "late"});
  REQUIRE(client->notices.size() == 1);
  CHECK(client->notices[0].tag == number);
  CHECK(simulation::number_in({client->notices[0].data, client->notices[0].length}, 0) == number);
  CHECK(rig.row()->late == 1);
  CHECK(rig.row()->late_dropped == 0);
}

TEST_CASE("engine.a late answer that its channel did not ask for comes to a subscriber of its own group") {
  Rig rig;
  const auto foreign = rig.attach_with_channel(shm::kSubscribeLate, kOthers);
  const auto asker = rig.attach_with_channel();
  SUBCASE("there is one") {
    const auto subscriber = rig.attach_with_channel(shm::kSubscribeLate);
    const auto number = rig.ask_late(*asker);
    CHECK(subscriber->collect(0) == Words{"late"});
    CHECK(subscriber->notices[0].tag == number);
    CHECK(rig.row()->late_dropped == 0);
    CHECK(rig.row()->subscribers == 1);
  }
  SUBCASE("there is none: it is counted and dropped") {
    rig.ask_late(*asker);
    CHECK(rig.row()->late_dropped == 1);
  }
  SUBCASE("its channel had asked, but is closed") {
    auto gone = rig.attach_with_channel(shm::kLateAnswers);
    const auto subscriber = rig.attach_with_channel(shm::kSubscribeLate);
    static_cast<void>(gone->push(0, 20, kTimeoutMs));
    gone->publish(0);
    while (rig.engine.multiplexer().requests_held() == 0) rig.engine.turn();
    rig.context.now_ns += 2 * kTimeoutMs * engine::mux::kNanosecondsPerMillisecond;
    rig.engine.turn();
    CHECK(gone->collect(0) == Words{"MAYBE_SENT deadline"});
    rig.engine.close_channel(gone->attached.id, gone->channels[0]->number());
    rig.engine.turn();
    rig.settle();
    CHECK(gone->closed == std::vector<int>{0});
    CHECK(subscriber->collect(0) == Words{"late"});
  }
  CHECK(asker->collect(0).size() <= 1);
  CHECK(foreign->collect(0).empty());
}

TEST_CASE("engine.late answers wait for slots, and are dropped when their channel goes") {
  Rig rig;
  const auto client = rig.attach_with_channel(shm::kLateAnswers);
  const auto pairs = client->channels[0]->notices_max();
  for (std::uint32_t i = 0; i < pairs + 1; ++i) {
    rig.ask_late(*client);
    CHECK(client->collect(0).front() == "MAYBE_SENT deadline");
  }
  CHECK(client->notices.size() == pairs);
  SUBCASE("released, the next comes") {
    client->release_notices(0);
    rig.settle();
    CHECK(client->collect(0) == Words{"late"});
    CHECK(rig.row()->late_dropped == 0);
  }
  SUBCASE("closed, it is dropped") {
    rig.engine.close_channel(client->attached.id, client->channels[0]->number());
    rig.settle();
    CHECK(client->closed == std::vector<int>{0});
    CHECK(rig.row()->late_dropped == 1);
  }
}

// ---- What the host sends unasked ----

TEST_CASE("engine.what the host sends unasked comes to the upstream's subscriber group, which can reply") {
  Rig rig;
  const auto plain = rig.attach_with_channel();
  const auto foreign = rig.attach(kOthers);
  rig.open_channel(*foreign, "host", shm::kSubscribeUnsolicited);
  CHECK(foreign->refusals == std::vector<int>{EACCES});
  rig.host_speaks();
  CHECK(rig.row()->unsolicited_dropped >= 1);
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeUnsolicited);
  rig.host_speaks();
  CHECK(subscriber->collect(0).front() == "unsolicited");
  rig.context.faults[simulation::Fault::silent] = 1000;  // else the host answers it
  subscriber->reply(0, subscriber->notices[0], "a reply that bears no number");
  rig.context.ledger.distrust(subscriber->id);  // what it sends is nobody's request
  rig.settle();
  CHECK(subscriber->collect(0) == Words{"MAYBE_SENT reply_sent"});
  CHECK(plain->collect(0).empty());
}

TEST_CASE("engine.only the client that was given a host's message may reply to it, once") {
  Rig rig;
  const auto subscriber = rig.attach_with_channel(shm::kSubscribeUnsolicited);
  const auto other = rig.attach_with_channel(shm::kSubscribeUnsolicited);
  rig.context.ledger.distrust(subscriber->id);
  rig.context.ledger.distrust(other->id);
  rig.host_speaks();
  REQUIRE_FALSE(subscriber->collect(0).empty());
  const auto notice = subscriber->notices[0];
  rig.context.faults[simulation::Fault::silent] = 1000;  // else the host answers replies
  other->reply(0, notice, "a reply that bears no number");
  rig.settle();
  CHECK(other->collect(0) == Words{"NOT_SENT no_session"});
  subscriber->reply(0, notice, "a reply that bears no number");
  rig.settle();
  subscriber->reply(0, notice, "a reply that bears no number");
  rig.settle();
  CHECK(subscriber->collect(0) == Words{"MAYBE_SENT reply_sent", "NOT_SENT duplicate_key"});
  CHECK(other->offences.empty());
}

TEST_CASE("engine.a channel with flags that nobody knows is refused") {
  Rig rig;
  const auto client = rig.attach();
  rig.open_channel(*client, "host", 16);
  CHECK(client->refusals == std::vector<int>{EINVAL});
}

// ---- Clients that break rules ----

TEST_CASE("hostile.slots lent on a channel that takes no notices") {
  Rig rig;
  const auto client = rig.attach_with_channel();
  static_cast<void>(client->push(0, 20));
  const auto memory = client->attached.attachment->channel(client->channels[0]->number());
  auto& shared = *reinterpret_cast<shm::RequestDescriptor*>(memory.data() +
                                                            client->attached.attachment->geometry().requests_offset());
  auto descriptor = shm::copy_from_shared(shared);
  descriptor.operation = shm::Operation::receive;
  shm::copy_to_shared(shared, descriptor);
  client->publish(0);
  rig.settle();
  CHECK(client->offences == Words{"a descriptor lends slots on a channel that takes no notices"});
}

TEST_CASE("hostile.lent slots used for something else, and an empty reply") {
  Rig rig;
  const auto client = rig.attach_with_channel(shm::kSubscribeUnsolicited);
  const auto memory = client->attached.attachment->channel(client->channels[0]->number());
  auto* const ring = reinterpret_cast<shm::RequestDescriptor*>(
      memory.data() + client->attached.attachment->geometry().requests_offset());
  const auto lent = shm::copy_from_shared(ring[0]);
  REQUIRE(lent.operation == shm::Operation::receive);
  const auto position = client->channels[0]->notices_max();  // so many were lent
  static_cast<void>(client->push(0, 20));
  auto descriptor = shm::copy_from_shared(ring[position]);
  std::string rule;
  SUBCASE("lent again") {
    descriptor = lent;
    rule = "a descriptor names a slot that is in use";
  }
  SUBCASE("for an answer") {
    descriptor.response_slot = lent.request_slot;
    rule = "a descriptor names a slot that is in use";
  }
  SUBCASE("an empty reply") {
    descriptor.operation = shm::Operation::reply;
    descriptor.length = 0;
    rule = "a descriptor's message is empty";
  }
  shm::copy_to_shared(ring[position], descriptor);
  client->publish(0);
  rig.settle();
  CHECK(client->offences == Words{rule});
}
