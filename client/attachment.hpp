#pragma once

// The memory that one engine gave this process, from attaching until nothing of it is in use any more. Shared by the
// channels; an application that still reads an answer keeps it mapped after the engine is gone.

#include <array>
#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>

#include "client/fork_guard.hpp"
#include "shm/control_protocol.hpp"
#include "shm/geometry.hpp"
#include "shm/group_part.hpp"
#include "shm/segment.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::client {

enum class Loss : std::uint8_t { none, engine_died, detached };

constexpr shm::Reason reason_of(Loss loss) {
  return loss == Loss::engine_died ? shm::Reason::engine_died : shm::Reason::detached;
}

// What comes with an AttachReply.
struct AttachDescriptors {
  shm::UniqueFd group;
  shm::UniqueFd client_memory;
  shm::UniqueFd doorbell;
  shm::UniqueFd engine;  // pidfd
};

class Attachment {
 public:
  // Maps what the engine offers, after checking that all of it fits together: sizes against what the three numbers of
  // the geometry demand, seals, both headers, one boot id. `epoch` numbers the attachments of a client from 1.
  // EPROTO and EPERM: the offer is wrong. EAGAIN: the engine has not finished its tables.
  static std::expected<std::shared_ptr<Attachment>, shm::SystemError> accept(
      const shm::AttachReply& reply, AttachDescriptors& descriptors, std::uint32_t epoch,
      std::shared_ptr<const ForkGuard> fork_guard);

  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;
  ~Attachment();

  // Any thread. Once lost, always lost.
  [[nodiscard]] Loss loss() const { return loss_.load(std::memory_order_acquire); }
  void lose(Loss loss) { loss_.store(loss, std::memory_order_release); }

  [[nodiscard]] std::uint32_t epoch() const { return epoch_; }
  [[nodiscard]] const shm::ClientGeometry& geometry() const { return geometry_; }
  // The group wants slots overwritten that nobody needs any more.
  [[nodiscard]] bool wipes_slots() const { return wipes_slots_; }
  // This is a forked child of the process that has attached: it does not have the memory.
  [[nodiscard]] bool is_in_child() const { return fork_guard_ != nullptr && fork_guard_->in_child(); }

  // The bytes of one channel, as its geometry says.
  [[nodiscard]] std::span<std::byte> channel(std::uint32_t channel) const;

  // The doorbell of another shard than the first; without one of its own a shard has the first one's. Before a channel of
  // that shard is used. EPROTO: it makes no sense.
  std::expected<void, shm::SystemError> add_doorbell(std::uint32_t shard, shm::UniqueFd doorbell);

  // Any thread, after this channel's request ring was published: wakes the engine if it sleeps.
  // Requires shard < config::kShardsMax.
  void announce(std::uint32_t shard, std::uint32_t channel);
  // The same without waking it: seen when it looks next.
  void mark_ready(std::uint32_t shard, std::uint32_t channel);

  // A row of the group's table of upstreams; null if the table has no such row.
  [[nodiscard]] const shm::UpstreamRow* upstream_row(std::uint32_t row) const;
  [[nodiscard]] const shm::GroupView& group() const { return group_; }

  [[nodiscard]] shm::PortLeases& port_leases() const;

 private:
  Attachment() = default;

  [[nodiscard]] shm::ClientHeader& client_header() const;
  std::expected<void, shm::SystemError> open_group(const shm::AttachReply& reply);
  [[nodiscard]] std::expected<void, shm::SystemError> check_client(const shm::AttachReply& reply) const;

  std::uint32_t epoch_ = 0;
  shm::ClientGeometry geometry_;
  bool wipes_slots_ = false;
  shm::UniqueFd doorbell_;
  std::array<shm::UniqueFd, config::kShardsMax> doorbells_;  // of shards that have their own
  std::unique_ptr<shm::AttachedSegment> segment_;
  shm::GroupView group_;
  std::shared_ptr<const ForkGuard> fork_guard_;
  std::atomic<Loss> loss_ = Loss::none;
};

}  // namespace tlsmux::client
