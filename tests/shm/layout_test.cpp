// The published layout: a field that moves breaks every program that was built before.
#include "shm/layout.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string_view>
#include <type_traits>

#include "shm/geometry.hpp"
#include "shm/shared_copy.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;

namespace {

// What lies in shared memory is plain, has no byte that nobody named, and can be copied word by word.
template <typename Value>
constexpr bool kPlain = std::is_standard_layout_v<Value> && std::is_trivially_destructible_v<Value>;
template <typename Value>
constexpr bool kDescriptor = kPlain<Value> && SharedCopyable<Value> && std::has_unique_object_representations_v<Value>;

static_assert(kPlain<GroupHeader> && kPlain<ClientRow> && kPlain<UpstreamRow> && kPlain<SessionRow>);
static_assert(kPlain<ClientHeader> && kPlain<ChannelHeader> && kPlain<SlotControl>);
static_assert(kDescriptor<RequestDescriptor> && kDescriptor<CompletionDescriptor> && kPlain<Section>);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free);

static_assert(offsetof(GroupHeader, magic) == 0);
static_assert(offsetof(GroupHeader, version) == 8);
static_assert(offsetof(GroupHeader, header_bytes) == 12);
static_assert(offsetof(GroupHeader, total_bytes) == 16);
static_assert(offsetof(GroupHeader, boot_id) == 24);
static_assert(offsetof(GroupHeader, engine_pid) == 40);
static_assert(offsetof(GroupHeader, shard_count) == 44);
static_assert(offsetof(GroupHeader, engine_started_s) == 48);
static_assert(offsetof(GroupHeader, group) == 56);
static_assert(offsetof(GroupHeader, section_count) == 120);
static_assert(offsetof(GroupHeader, restarts) == 124);
static_assert(offsetof(GroupHeader, sections) == 128);
static_assert(offsetof(GroupHeader, heartbeat_ns) == 576);
static_assert(offsetof(GroupHeader, state) == 584);

static_assert(offsetof(ClientHeader, magic) == 0);
static_assert(offsetof(ClientHeader, version) == 8);
static_assert(offsetof(ClientHeader, total_bytes) == 16);
static_assert(offsetof(ClientHeader, boot_id) == 24);
static_assert(offsetof(ClientHeader, client_id) == 40);
static_assert(offsetof(ClientHeader, channel_count) == 48);
static_assert(offsetof(ClientHeader, slots_per_channel) == 52);
static_assert(offsetof(ClientHeader, slot_bytes) == 56);
static_assert(offsetof(ClientHeader, ring_entries) == 60);
static_assert(offsetof(ClientHeader, channels_offset) == 64);
static_assert(offsetof(ClientHeader, channel_stride) == 72);
static_assert(offsetof(ClientHeader, leases_offset) == 80);
static_assert(offsetof(ClientHeader, shards) == 128);
static_assert(offsetof(ShardWords, engine_armed) == 0 && offsetof(ShardWords, ready) == 64);

static_assert(offsetof(RingIndexes, tail) == 0 && offsetof(RingIndexes, head) == 64 &&
              offsetof(RingIndexes, seen) == 72);
static_assert(offsetof(ChannelHeader, requests) == 0 && offsetof(ChannelHeader, completions) == 128);
static_assert(offsetof(ChannelHeader, client_armed) == 256 && offsetof(ChannelHeader, trace_numbers) == 320);
static_assert(sizeof(ChannelHeader) == 448);

static_assert(offsetof(RequestDescriptor, tag) == 0);
static_assert(offsetof(RequestDescriptor, generation) == 8);
static_assert(offsetof(RequestDescriptor, request_slot) == 16);
static_assert(offsetof(RequestDescriptor, response_slot) == 20);
static_assert(offsetof(RequestDescriptor, length) == 24);
static_assert(offsetof(RequestDescriptor, timeout_ms) == 28);
static_assert(offsetof(RequestDescriptor, operation) == 32);
static_assert(offsetof(RequestDescriptor, flags) == 34);

static_assert(offsetof(CompletionDescriptor, tag) == 0);
static_assert(offsetof(CompletionDescriptor, generation) == 8);
static_assert(offsetof(CompletionDescriptor, request_slot) == 16);
static_assert(offsetof(CompletionDescriptor, response_slot) == 20);
static_assert(offsetof(CompletionDescriptor, length) == 24);
static_assert(offsetof(CompletionDescriptor, reason) == 28);
static_assert(offsetof(CompletionDescriptor, outcome) == 30);
static_assert(offsetof(CompletionDescriptor, kind) == 31);

static_assert(offsetof(SlotControl, word) == 0);
static_assert(offsetof(SlotControl, result_length) == 8);
static_assert(offsetof(SlotControl, result_reason) == 12);
static_assert(offsetof(SlotControl, clients_reason) == 20 && offsetof(SlotControl, seen_generation) == 24);

static_assert(offsetof(ClientRow, pid) == 4 && offsetof(ClientRow, client_id) == 8 &&
              offsetof(ClientRow, program) == 40);
static_assert(offsetof(UpstreamRow, in_use) == 4 && offsetof(UpstreamRow, name) == 8);
static_assert(offsetof(UpstreamRow, not_sent) == 128 && offsetof(UpstreamRow, maybe_sent) == 640);
static_assert(offsetof(UpstreamRow, last_error) == 1168 && offsetof(UpstreamRow, latency) == 1408);
static_assert(offsetof(SessionRow, upstream) == 4 && offsetof(SessionRow, state) == 8);
static_assert(offsetof(SessionRow, address) == 40 && offsetof(SessionRow, suite) == 136);

constexpr ClientGeometry kSmallest{
    .channels = 1, .slots_per_channel = config::kSlotsPerChannelMin, .slot_bytes = config::kSlotBytesMin};
constexpr ClientGeometry kUsual{.channels = 4, .slots_per_channel = 64, .slot_bytes = 4096};
constexpr ClientGeometry kOdd{.channels = 3, .slots_per_channel = 6, .slot_bytes = 100};

std::string_view first_bytes(const std::uint64_t& number) { return {reinterpret_cast<const char*>(&number), 8}; }

}  // namespace

TEST_CASE("segment.layout marks can be read in a dump") {
  CHECK(first_bytes(kGroupMagic) == "TMXGROUP");
  CHECK(first_bytes(kClientMagic) == "TMXICLNT");
  CHECK(kLayoutVersion == (kLayoutMajor << 16 | kLayoutMinor));
}

TEST_CASE("segment.layout of a client's part has each thing behind the one before") {
  for (const auto& geometry : {kSmallest, kUsual, kOdd}) {
    CAPTURE(geometry.slots_per_channel);
    REQUIRE(geometry.valid());
    CHECK(geometry.leases_offset() >= sizeof(ClientHeader));
    CHECK(geometry.channels_offset() >= geometry.leases_offset() + kLeaseBytes);
    CHECK(geometry.requests_offset() >= sizeof(ChannelHeader));
    CHECK(geometry.completions_offset() >=
          geometry.requests_offset() + geometry.ring_entries() * sizeof(RequestDescriptor));
    CHECK(geometry.slot_controls_offset() >=
          geometry.completions_offset() + geometry.ring_entries() * sizeof(CompletionDescriptor));
    CHECK(geometry.slots_offset() >=
          geometry.slot_controls_offset() + geometry.slots_per_channel * sizeof(SlotControl));
    CHECK(geometry.slot_stride() >= geometry.slot_bytes);
    CHECK(geometry.channel_stride() >= geometry.slots_offset() + geometry.slots_per_channel * geometry.slot_stride());
    CHECK(geometry.channel_offset(0) == geometry.channels_offset());
    CHECK(geometry.total_bytes() == geometry.channels_offset() + geometry.channels * geometry.channel_stride());
    CHECK(geometry.ring_entries() >= geometry.slots_per_channel / 2);
  }
}

TEST_CASE("segment.layout of a client's part keeps its things aligned") {
  for (const auto& geometry : {kSmallest, kUsual, kOdd}) {
    CAPTURE(geometry.slots_per_channel);
    for (const auto offset : {geometry.requests_offset(), geometry.completions_offset(),
                              geometry.slot_controls_offset(), geometry.slots_offset(), geometry.slot_stride()}) {
      CHECK(offset % kCacheLineBytes == 0);
    }
    for (const auto offset :
         {geometry.leases_offset(), geometry.channels_offset(), geometry.channel_stride(), geometry.total_bytes()}) {
      CHECK(offset % kPageBytes == 0);
    }
    CHECK(std::has_single_bit(geometry.ring_entries()));
  }
}

TEST_CASE("segment.layout refuses numbers beyond the limits") {
  const auto changed = [](auto change) {
    ClientGeometry geometry = kUsual;
    change(geometry);
    return geometry.valid();
  };
  CHECK(changed([](auto&) {}));
  CHECK(!changed([](auto& geometry) { geometry.channels = 0; }));
  CHECK(!changed([](auto& geometry) { geometry.channels = config::kChannelsPerClientMax + 1; }));
  CHECK(!changed([](auto& geometry) { geometry.slots_per_channel = 0; }));
  CHECK(!changed([](auto& geometry) { geometry.slots_per_channel = 3; }));
  CHECK(!changed([](auto& geometry) { geometry.slots_per_channel = config::kSlotsPerChannelMax + 2; }));
  CHECK(!changed([](auto& geometry) { geometry.slot_bytes = config::kSlotBytesMin - 1; }));
  CHECK(!changed([](auto& geometry) { geometry.slot_bytes = config::kSlotBytesMax + 1; }));
  // Each within its limit, all together over the memory that one client may have.
  CHECK(!ClientGeometry{.channels = config::kChannelsPerClientMax,
                        .slots_per_channel = config::kSlotsPerChannelMax,
                        .slot_bytes = config::kSlotBytesMax}
             .valid());
  CHECK(!ClientGeometry{.channels = 0xffffffff, .slots_per_channel = 0xfffffffe, .slot_bytes = 0xffffffff}.valid());
}

TEST_CASE("segment.layout adds no more to the slots than the limits say") {
  for (const auto& geometry : {kSmallest, kUsual, kOdd}) {
    const auto slots = std::uint64_t{geometry.channels} * geometry.slots_per_channel;
    CHECK(geometry.total_bytes() <= slots * (geometry.slot_bytes + config::kSlotOverheadBytesMax) +
                                        geometry.channels * config::kChannelOverheadBytesMax +
                                        config::kClientOverheadBytesMax);
  }
}
