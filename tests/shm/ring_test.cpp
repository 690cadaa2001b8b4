#include "shm/ring.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <memory>
#include <vector>

using namespace tlsmux::shm;

namespace {

constexpr std::uint64_t kEntries = 8;

struct Ring {
  RingIndexes indexes{};
  std::array<RequestDescriptor, kEntries> entries{};
  RingProducer<RequestDescriptor> producer{&indexes, entries};
  RingConsumer<RequestDescriptor> consumer{&indexes, entries};

  void send(std::uint64_t tag) {
    producer.push({.tag = tag});
    producer.publish();
  }
  std::uint64_t receive() {
    const auto entry = consumer.take();
    consumer.release();
    return entry.tag;
  }
};

using Count = std::expected<std::uint64_t, RingCorrupt>;

bool is(const Count& count, std::uint64_t number) { return count.has_value() && *count == number; }

constexpr std::uint64_t kAllOnes = std::numeric_limits<std::uint64_t>::max();

}  // namespace

TEST_CASE("ring.a new ring is empty and has room for all its entries") {
  Ring ring;
  CHECK(is(ring.consumer.available(), 0));
  CHECK(is(ring.producer.room(), kEntries));
}

TEST_CASE("ring.entries arrive whole and in order over many turns") {
  Ring ring;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  for (std::uint64_t turn = 0; turn < 1000; ++turn) {
    for (std::uint64_t i = 0; i <= turn % kEntries; ++i) {
      REQUIRE(ring.producer.room().value() > 0);
      ring.producer.push({.tag = sent,
                          .generation = sent + 1,
                          .request_slot = static_cast<std::uint32_t>(sent + 2),
                          .response_slot = static_cast<std::uint32_t>(sent + 3),
                          .length = static_cast<std::uint32_t>(sent + 4),
                          .timeout_ms = static_cast<std::uint32_t>(sent + 5),
                          .operation = Operation::request,
                          .flags = static_cast<std::uint16_t>(sent + 6)});
      ++sent;
    }
    ring.producer.publish();
    while (ring.consumer.available().value() > 0) {
      const auto entry = ring.consumer.take();
      REQUIRE(entry.tag == received);
      REQUIRE(entry.generation == received + 1);
      REQUIRE(entry.request_slot == received + 2);
      REQUIRE(entry.response_slot == received + 3);
      REQUIRE(entry.length == received + 4);
      REQUIRE(entry.timeout_ms == received + 5);
      REQUIRE(entry.operation == Operation::request);
      REQUIRE(entry.flags == static_cast<std::uint16_t>(received + 6));
      ++received;
    }
    ring.consumer.release();
    REQUIRE(received == sent);
  }
}

TEST_CASE("ring.a full ring has no room until the consumer gives places back") {
  Ring ring;
  for (std::uint64_t i = 0; i < kEntries; ++i) {
    CHECK(is(ring.producer.room(), kEntries - i));
    ring.send(i);
  }
  CHECK(is(ring.producer.room(), 0));
  CHECK(is(ring.consumer.available(), kEntries));
  CHECK(ring.consumer.take().tag == 0);
  CHECK(is(ring.producer.room(), 0));  // taken, not given back
  ring.consumer.release();
  CHECK(is(ring.producer.room(), 1));
  ring.send(kEntries);
  CHECK(is(ring.producer.room(), 0));
  for (std::uint64_t i = 1; i <= kEntries; ++i) {
    REQUIRE(ring.consumer.available().value() > 0);
    CHECK(ring.receive() == i);
  }
  CHECK(is(ring.consumer.available(), 0));
}

TEST_CASE("ring.nothing is seen before it is published") {
  Ring ring;
  ring.producer.push({.tag = 1});
  ring.producer.push({.tag = 2});
  CHECK(is(ring.consumer.available(), 0));
  ring.producer.publish();
  CHECK(is(ring.consumer.available(), 2));
}

TEST_CASE("ring.a tail outside the ring is reported to the consumer") {
  for (const std::uint64_t bent : {std::uint64_t{2}, std::uint64_t{0}, 3 + kEntries + 1, std::uint64_t{1} << 32,
                                   std::uint64_t{1} << 63, kAllOnes}) {
    CAPTURE(bent);
    Ring ring;
    for (std::uint64_t i = 0; i < 3; ++i) ring.send(i);
    REQUIRE(is(ring.consumer.available(), 3));
    for (std::uint64_t i = 0; i < 3; ++i) ring.receive();
    ring.indexes.tail.store(bent);
    CHECK(!ring.consumer.available().has_value());
  }
}

TEST_CASE("ring.a tail at the last allowed place is not reported") {
  Ring ring;
  for (std::uint64_t i = 0; i < 3; ++i) ring.send(i);
  REQUIRE(is(ring.consumer.available(), 3));
  for (std::uint64_t i = 0; i < 3; ++i) ring.receive();
  ring.indexes.tail.store(3 + kEntries);
  CHECK(is(ring.consumer.available(), kEntries));
}

TEST_CASE("ring.a head outside the ring is reported to the producer") {
  for (const std::uint64_t bent : {std::uint64_t{2}, std::uint64_t{0}, 3 + kEntries + 1, std::uint64_t{1} << 32,
                                   std::uint64_t{1} << 63, kAllOnes}) {
    CAPTURE(bent);
    Ring ring;
    for (std::uint64_t i = 0; i < 3; ++i) ring.send(i);
    REQUIRE(is(ring.consumer.available(), 3));
    for (std::uint64_t i = 0; i < 3; ++i) ring.receive();
    for (std::uint64_t i = 3; i < kEntries; ++i) ring.send(i);
    REQUIRE(is(ring.producer.room(), 3));  // has seen a head of 3
    for (std::uint64_t i = 0; i < 3; ++i) ring.send(i);
    ring.indexes.head.store(bent);
    CHECK(!ring.producer.room().has_value());
  }
}

TEST_CASE("ring.what the other side writes over a side's own position does not move that side") {
  Ring ring;
  ring.send(10);
  ring.indexes.tail.store(kAllOnes);  // the consumer may write anywhere
  ring.send(11);
  CHECK(ring.indexes.tail.load() == 2);
  REQUIRE(is(ring.consumer.available(), 2));
  CHECK(ring.receive() == 10);
  ring.indexes.head.store(kAllOnes);
  CHECK(ring.receive() == 11);
  CHECK(ring.indexes.head.load() == 2);
}

TEST_CASE("ring.an entry is copied out, so that a later change of the place changes nothing") {
  Ring ring;
  ring.send(7);
  REQUIRE(is(ring.consumer.available(), 1));
  const auto entry = ring.consumer.take();
  ring.entries[0].tag = 8;
  CHECK(entry.tag == 7);
}

TEST_CASE("ring.a ring of one entry works") {
  RingIndexes indexes{};
  std::array<CompletionDescriptor, 1> entry{};
  RingProducer<CompletionDescriptor> producer(&indexes, entry);
  RingConsumer<CompletionDescriptor> consumer(&indexes, entry);
  for (std::uint64_t i = 0; i < 10; ++i) {
    REQUIRE(is(producer.room(), 1));
    producer.push({.tag = i});
    producer.publish();
    REQUIRE(is(producer.room(), 0));
    REQUIRE(is(consumer.available(), 1));
    REQUIRE(consumer.take().tag == i);
    consumer.release();
  }
}
