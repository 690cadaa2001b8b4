#include "tests/faults/raw_channel.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <doctest/doctest.h>

#include "shm/shared_copy.hpp"
#include "tests/system/await.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint64_t kGeneration = 1;

template <typename Value>
Value random_value(std::mt19937_64& random) {
  return static_cast<Value>(random());
}

// Numbers near the limits are likelier to hurt than any.
template <typename Value>
Value odd_value(std::mt19937_64& random, Value limit) {
  switch (random() % 6) {
    case 0: return 0;
    case 1: return limit;
    case 2: return static_cast<Value>(limit - 1);
    case 3: return static_cast<Value>(limit + 1);
    case 4: return static_cast<Value>(~Value{0});
    default: return random_value<Value>(random);
  }
}

void fill(std::span<std::byte> bytes, std::mt19937_64& random) {
  std::ranges::generate(bytes, [&] { return static_cast<std::byte>(random()); });
}

}  // namespace

RawChannel::RawChannel(ControlClient control, ControlClient::Attached attached, shm::UniqueFd wake)
    : control_(std::move(control)), attached_(std::move(attached)), wake_(std::move(wake)) {
  const auto& reply = attached_.offer.reply;
  geometry_ = {
      .channels = reply.channels, .slots_per_channel = reply.slots_per_channel, .slot_bytes = reply.slot_bytes};
}

RawChannel::RawChannel(const config::Config& config, const std::string& upstream)
    : RawChannel([&] {
        auto opened = try_open(config, upstream);
        REQUIRE(opened);
        return std::move(*opened);
      }()) {}

std::optional<RawChannel> RawChannel::try_open(const config::Config& config, const std::string& upstream,
                                               std::uint32_t flags) {
  ControlClient control(config.engine.control_socket);
  auto attached = control.attach(config.groups[0].name);
  shm::OpenChannelRequest request;
  shm::set_text(request.upstream, upstream);
  request.flags = flags;
  if (!attached || !control.send(request)) return std::nullopt;
  auto packet = control.receive();
  shm::OpenChannelReply opened;
  const bool is_open = packet && shm::read_message(*packet, opened) && !packet->descriptors.empty();
  if (!is_open || opened.channel != 0) return std::nullopt;
  RawChannel channel(std::move(control), std::move(*attached), std::move(packet->descriptors[0]));
  channel.shard_ = opened.shard;
  if (packet->descriptors.size() > 1) channel.doorbell_ = std::move(packet->descriptors[1]);
  return channel;
}

shm::ShardWords& RawChannel::words() const {
  return reinterpret_cast<shm::ClientHeader*>(memory().data())->shards[shard_];
}

shm::ChannelHeader& RawChannel::header() const { return *reinterpret_cast<shm::ChannelHeader*>(channel_start()); }

std::span<shm::RequestDescriptor> RawChannel::requests() const {
  return {reinterpret_cast<shm::RequestDescriptor*>(channel_start() + geometry_.requests_offset()),
          geometry_.ring_entries()};
}

std::span<shm::SlotControl> RawChannel::controls() const {
  return {reinterpret_cast<shm::SlotControl*>(channel_start() + geometry_.slot_controls_offset()),
          geometry_.slots_per_channel};
}

std::span<std::byte> RawChannel::slot(std::uint32_t number) const {
  return {channel_start() + geometry_.slots_offset() + number * geometry_.slot_stride(), geometry_.slot_bytes};
}

shm::RequestDescriptor RawChannel::good_request(const std::string& message) {
  std::memcpy(slot(0).data(), message.data(), std::min<std::size_t>(message.size(), geometry_.slot_bytes));
  controls()[0].word.start(kGeneration);
  shm::RequestDescriptor descriptor;
  descriptor.tag = 7;
  descriptor.generation = kGeneration;
  descriptor.request_slot = 0;
  descriptor.response_slot = 1;
  descriptor.length = static_cast<std::uint32_t>(message.size());
  descriptor.operation = shm::Operation::request;
  return descriptor;
}

void RawChannel::submit(const shm::RequestDescriptor& descriptor) {
  shm::copy_to_shared(requests()[tail_ % geometry_.ring_entries()], descriptor);
  publish_tail(tail_ + 1);
}

void RawChannel::publish_tail(std::uint64_t tail) {
  tail_ = tail;
  header().requests.tail.store(tail, std::memory_order_release);
  ring();
}

void RawChannel::ring() const {
  words().ready.fetch_or(1, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(doorbell(), &one, sizeof one);
}

void RawChannel::await_completions(std::uint64_t count) const {
  await([&] { return header().completions.tail.load(std::memory_order_acquire) >= count; });
}

std::string RawChannel::await_detachment() {
  const auto packet = control_.receive();
  shm::DetachedNotice notice;
  REQUIRE((packet && shm::read_message(*packet, notice)));
  return std::string(shm::text_of(notice.text));
}

bool RawChannel::is_detached() {
  pollfd wanted{.fd = control_.socket(), .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, 0) > 0;
}

void scribble(RawChannel& channel, std::mt19937_64& random) {
  auto& header = channel.header();
  const auto slots = channel.geometry().slots_per_channel;
  auto descriptor = channel.good_request(std::string(64, static_cast<char>('a' + random() % 26)));
  descriptor.request_slot = static_cast<std::uint32_t>(random() % slots);
  descriptor.response_slot = static_cast<std::uint32_t>(random() % slots);
  channel.controls()[descriptor.request_slot].word.start(kGeneration);
  switch (random() % 14) {
    case 0: return fill(channel.memory(), random);
    case 1: return fill(std::as_writable_bytes(channel.requests()), random);
    case 2: return fill(std::as_writable_bytes(channel.controls()), random);
    case 3: return fill({reinterpret_cast<std::byte*>(&header), sizeof header}, random);
    case 4: header.completions.head.store(odd_value<std::uint64_t>(random, 64)); return;
    case 5: header.completions.tail.store(odd_value<std::uint64_t>(random, 64)); return;
    case 6: header.requests.head.store(odd_value<std::uint64_t>(random, 64)); return;
    case 7: channel.words().engine_armed.store(odd_value<std::uint32_t>(random, 1)); return;
    case 8: channel.words().ready.store(odd_value<std::uint64_t>(random, 64)); return channel.ring();
    case 9: return channel.publish_tail(odd_value<std::uint64_t>(random, channel.geometry().ring_entries()));
    case 10: descriptor.length = odd_value<std::uint32_t>(random, channel.geometry().slot_bytes); break;
    case 11: descriptor.request_slot = odd_value<std::uint32_t>(random, slots); break;
    case 12: descriptor.generation = odd_value<std::uint64_t>(random, shm::kGenerationMax); break;
    default: break;
  }
  channel.submit(descriptor);
}

}  // namespace tlsmux::test
