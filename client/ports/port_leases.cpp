#include "client/ports/port_leases.hpp"

#include "client/monotonic_clock.hpp"
#include "shm/port_lease.hpp"
#include "shm/row.hpp"

namespace tlsmux::client {
namespace {

// The coarse clock may be late by a tick of the kernel's, which is 10 ms at the most.
constexpr std::int64_t kCoarseLagNs = ms_to_ns(10);
constexpr auto kTrustNs = static_cast<std::int64_t>(shm::kPortTrustNs) - kCoarseLagNs;

bool reads_holders(const shm::GroupView& group) {
  shm::PortSummaryRow row{};
  return group.port_summaries().size() > 0 && shm::read_row(group.port_summaries()[0], row) &&
         row.holder_sockets != 0;  // also where not all that there should be are
}

}  // namespace

void PortLeases::trust(const std::shared_ptr<Attachment>& attachment, std::int64_t found_alive_ns) {
  const bool has_holders = reads_holders(attachment->group());
  const std::lock_guard lock(mutex_);
  if (attachment_ != attachment) refills_ = {};
  attachment_ = attachment;
  trusted_until_ns_ = found_alive_ns + kTrustNs;
  has_holders_ = has_holders;
}

void PortLeases::distrust() {
  std::shared_ptr<Attachment> ended;  // unmaps after the mutex
  const std::lock_guard lock(mutex_);
  ended.swap(attachment_);
}

bool PortLeases::has_attachment() {
  const std::lock_guard lock(mutex_);
  return attachment_ != nullptr;
}

// The clock is read afterwards, since this thread may have been asleep for long before it took the port.
std::optional<PortLeases::Taken> PortLeases::take(ports::Protocol protocol) {
  const std::lock_guard lock(mutex_);
  if (attachment_ == nullptr) return std::nullopt;
  auto& leases = attachment_->port_leases();
  auto& refill = refills_[ports::index_of(protocol)];
  const std::span words(protocol == ports::Protocol::tcp ? leases.tcp : leases.udp);
  const auto port = shm::take_lease(words);
  if (!port) {
    refill = {};
    return std::nullopt;
  }
  return Taken{.port = *port,
               .share_port = has_holders_ && protocol == ports::Protocol::tcp,
               .wants_refill = must_refill(refill, words),
               .is_late = attachment_->loss() != Loss::none || coarse_now_ns() >= trusted_until_ns_,
               .epoch = attachment_->epoch()};
}

// What the engine has seen is not `taken` any more: then the next refill may be asked for.
bool PortLeases::must_refill(Refill& refill, std::span<std::atomic<std::uint64_t>> words) {
  if (refill.takes_to_count > 1) {
    --refill.takes_to_count;
    return false;
  }
  std::uint32_t offered = 0;
  std::uint32_t taken = 0;
  for (const auto& word : words) {
    const auto state = shm::unpack_lease(word.load(std::memory_order_relaxed)).state;
    offered += state == shm::LeaseState::offered ? 1 : 0;
    taken += state == shm::LeaseState::taken ? 1 : 0;
  }
  // Each take makes one more of these and one less of those.
  refill.takes_to_count = taken < offered ? (offered - taken + 1) / 2 : 1;
  if (refill.taken_when_asked != 0 && taken > refill.taken_when_asked) return false;
  refill.taken_when_asked = taken < offered ? 0 : taken;
  return taken >= offered;
}

void PortLeases::refill_failed(ports::Protocol protocol) {
  const std::lock_guard lock(mutex_);
  refills_[ports::index_of(protocol)] = {};
}

}  // namespace tlsmux::client
