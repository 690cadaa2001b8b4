#include "client/attachment.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <string>

#include "client/no_cancellation.hpp"
#include "shm/doorbell.hpp"

namespace tlsmux::client {
namespace {

using shm::SystemError;

std::unexpected<SystemError> wrong(std::string_view what) {
  return std::unexpected(
      SystemError{.code = EPROTO, .message = "the engine offers memory that is wrong: " + std::string(what)});
}

// A write to a full eventfd must not block. The flag belongs to the open file: both sides see it.
std::expected<void, SystemError> prepare_doorbell(const shm::UniqueFd& doorbell) {
  const int flags = ::fcntl(doorbell.get(), F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) != 0) return {};
  if (flags >= 0 && ::fcntl(doorbell.get(), F_SETFL, flags | O_NONBLOCK) == 0) return {};
  return std::unexpected(shm::last_error("preparing the doorbell"));
}

// Descriptors that are not what the protocol promises would fail later, and less clearly.
std::expected<void, SystemError> check_descriptors(const shm::AttachReply& reply, const AttachDescriptors& offered) {
  struct stat status{};
  if (::fstat(offered.group.get(), &status) != 0)
    return std::unexpected(shm::last_error("asking the group object's size"));
  if (static_cast<std::uint64_t>(status.st_size) < reply.group_bytes) return wrong("the group object is too small");

  const auto client_bytes = shm::check_client_memory(offered.client_memory.get());
  if (!client_bytes) return std::unexpected(client_bytes.error());
  if (*client_bytes != reply.client_bytes) return wrong("the client memory has another size than announced");

  if (auto prepared = prepare_doorbell(offered.doorbell); !prepared) return prepared;
  // EPERM also says that it is a pidfd and that the process lives.
  if (::syscall(SYS_pidfd_send_signal, offered.engine.get(), 0, nullptr, 0) != 0 && errno != EPERM) {
    if (errno == ESRCH) {
      return std::unexpected(SystemError{.code = ECONNRESET, .message = "the engine ended while it was attached to"});
    }
    return std::unexpected(shm::last_error("checking the engine's pidfd"));
  }
  return {};
}

}  // namespace

std::expected<std::shared_ptr<Attachment>, SystemError> Attachment::accept(
    const shm::AttachReply& reply, AttachDescriptors& descriptors, std::uint32_t epoch,
    std::shared_ptr<const ForkGuard> fork_guard) {
  std::shared_ptr<Attachment> attachment(new Attachment());
  attachment->epoch_ = epoch;
  attachment->geometry_ = {
      .channels = reply.channels, .slots_per_channel = reply.slots_per_channel, .slot_bytes = reply.slot_bytes};
  attachment->wipes_slots_ = reply.wipe_slots != 0;
  if (!attachment->geometry_.valid()) return wrong("its channels or slots exceed the limits");
  if (reply.client_bytes != attachment->geometry_.total_bytes()) return wrong("its size does not fit its slots");
  if (auto good = check_descriptors(reply, descriptors); !good) return std::unexpected(good.error());

  auto segment = shm::AttachedSegment::map(descriptors.group.get(), reply.group_bytes, descriptors.client_memory.get(),
                                           reply.client_bytes);
  if (!segment) return std::unexpected(segment.error());
  attachment->segment_ = std::make_unique<shm::AttachedSegment>(std::move(*segment));
  attachment->doorbell_ = std::move(descriptors.doorbell);
  attachment->fork_guard_ = std::move(fork_guard);

  if (auto good = attachment->open_group(reply); !good) return std::unexpected(good.error());
  if (auto good = attachment->check_client(reply); !good) return std::unexpected(good.error());
  return attachment;
}

Attachment::~Attachment() {
  // A forked child does not have the mapping, and must not unmap what may lie there now.
  if (is_in_child()) static_cast<void>(segment_.release());
}

std::expected<void, SystemError> Attachment::open_group(const shm::AttachReply& reply) {
  const auto view = shm::GroupView::open(segment_->group());
  if (!view) return std::unexpected(view.error());
  if (view->header().boot_id != reply.boot_id) return wrong("the group's part belongs to another engine");
  group_ = *view;
  return {};
}

std::expected<void, SystemError> Attachment::check_client(const shm::AttachReply& reply) const {
  const auto& header = client_header();
  const auto version = header.version.load(std::memory_order_acquire);
  if (header.magic != shm::kClientMagic) return wrong("the client's part bears no mark of tlsmux");
  if (version >> 16 != shm::kLayoutMajor) return wrong("the client's part has another layout version");
  if (header.boot_id != reply.boot_id) return wrong("the client's part belongs to another engine");
  const bool same =
      header.total_bytes == reply.client_bytes && header.client_id == reply.client_id &&
      header.channel_count == geometry_.channels && header.slots_per_channel == geometry_.slots_per_channel &&
      header.slot_bytes == geometry_.slot_bytes && header.ring_entries == geometry_.ring_entries() &&
      header.channels_offset == geometry_.channels_offset() && header.channel_stride == geometry_.channel_stride();
  return same ? std::expected<void, SystemError>{} : wrong("the client's part contradicts the reply");
}

std::span<std::byte> Attachment::channel(std::uint32_t channel) const {
  return segment_->client().subspan(geometry_.channel_offset(channel), geometry_.channel_stride());
}

std::expected<void, SystemError> Attachment::add_doorbell(std::uint32_t shard, shm::UniqueFd doorbell) {
  if (shard == 0 || shard >= doorbells_.size() || doorbells_[shard]) {
    return std::unexpected(SystemError{.code = EPROTO, .message = "the engine offers a doorbell that makes no sense"});
  }
  if (auto prepared = prepare_doorbell(doorbell); !prepared) return prepared;
  doorbells_[shard] = std::move(doorbell);
  return {};
}

void Attachment::announce(std::uint32_t shard, std::uint32_t channel) {
  mark_ready(shard, channel);
  if (!shm::must_ring(client_header().shards[shard].engine_armed)) return;
  const NoCancellation until_rung;
  const auto& own = doorbells_[shard];
  const std::uint64_t one = 1;
  // EAGAIN: the count is full, so the descriptor is readable as it is.
  [[maybe_unused]] const auto written = ::write(own ? own.get() : doorbell_.get(), &one, sizeof one);
}

void Attachment::mark_ready(std::uint32_t shard, std::uint32_t channel) {
  // Release: the engine that sees the bit sees the ring's new tail.
  client_header().shards[shard].ready.fetch_or(1ULL << channel, std::memory_order_release);
}

const shm::UpstreamRow* Attachment::upstream_row(std::uint32_t row) const {
  return row < group_.upstreams().size() ? &group_.upstreams()[row] : nullptr;
}

shm::PortLeases& Attachment::port_leases() const {
  return *reinterpret_cast<shm::PortLeases*>(segment_->client().data() + geometry_.leases_offset());
}

shm::ClientHeader& Attachment::client_header() const {
  return *reinterpret_cast<shm::ClientHeader*>(segment_->client().data());
}

}  // namespace tlsmux::client
