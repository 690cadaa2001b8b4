#pragma once

// One channel at one engine: its two rings, its slots, and what is open on it. When the engine is lost, this is
// settled once and for all; the application's channel goes on with a new one at the next engine.
//
// Slots come in pairs. A pair for a request goes none -> reserved -> open -> decided -> none, and is not used again before
// its outcome was handed over: if the process dies first, the engine makes an orphan of what lies there. A pair for a notice is
// lent to the engine and comes back with the notice: none -> lent -> delivered -> none, and is lent again at once. Pairs
// for notices are set aside, so that requests and notices cannot starve each other.
//
// One thread. No function makes a system call except `publish` and `ask_for_trace_numbers`, which may ring the
// doorbell; none allocates after construction.

#include <algorithm>
#include <cstdint>
#include <expected>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "client/attachment.hpp"
#include "client/decide.hpp"
#include "client/outcome_queue.hpp"
#include "client/slot_table.hpp"
#include "shm/ring.hpp"
#include "shm/trace_lease.hpp"

namespace tlsmux::client {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// How an application wants a channel to be, at every engine.
struct ChannelSettings {
  std::uint32_t flags = 0;    // shm::ChannelFlags
  std::uint32_t notices = 0;  // pairs of slots for them, with flags; 0: as many as usual
};

// A channel that the engine has opened.
struct OpenedChannel {
  std::shared_ptr<Attachment> attachment;
  shm::OpenChannelReply reply;
  shm::UniqueFd wake;
  ChannelSettings settings;  // one pair is left for requests, however many notices are wanted
};

// What goes onto the ring of requests.
struct Push {
  SlotUse use;
  std::uint32_t length = 0;
  std::uint64_t tag = 0;
  std::uint32_t timeout_ms = 0;  // 0: the upstream's
  shm::Operation operation = shm::Operation::request;
  std::uint64_t notice = 0;  // of a reply
};

class AttachedChannel {
 public:
  explicit AttachedChannel(OpenedChannel opened);
  // Where the group wants slots wiped: all but those that the engine may still read.
  ~AttachedChannel();
  AttachedChannel(const AttachedChannel&) = delete;
  AttachedChannel& operator=(const AttachedChannel&) = delete;

  [[nodiscard]] Attachment& attachment() const { return *attachment_; }
  [[nodiscard]] std::uint32_t number() const { return reply_.channel; }
  [[nodiscard]] std::uint32_t upstream() const { return reply_.upstream; }
  [[nodiscard]] std::uint32_t timeout_ms() const { return reply_.timeout_ms; }
  [[nodiscard]] int wake_descriptor() const { return wake_.get(); }

  // Requests that can be reserved or open at one time.
  [[nodiscard]] std::uint32_t in_flight_max() const { return geometry().slots_per_channel / 2 - notices_max_; }
  // Notices that can be with the engine, waiting or held by the application at one time.
  [[nodiscard]] std::uint32_t notices_max() const { return notices_max_; }
  // Reserved, or submitted and without outcome.
  [[nodiscard]] std::uint32_t in_flight() const { return in_flight_; }
  [[nodiscard]] std::uint32_t open_count() const { return open_; }
  [[nodiscard]] std::uint32_t request_bytes_max() const { return request_bytes_max_; }
  [[nodiscard]] bool application_holds_slots() const { return slots_.held(Holder::application) > 0; }
  // Of requests: lent pairs stay there as long as the channel is open.
  [[nodiscard]] bool engine_holds_slots() const { return slots_.held(Holder::engine) > 2 * lent_; }

  // Two slots for one request. Requires has_free_slots().
  [[nodiscard]] bool has_free_slots() const {
    return slots_.free_count() >= 2 + 2 * (notices_max_ - std::min(notices_, notices_max_));
  }
  SlotUse reserve();
  [[nodiscard]] std::span<std::byte> slot_bytes(std::uint32_t slot) const;
  int abandon(SlotUse use);

  // Puts a reserved request on the ring: 0, -EINVAL, -EMSGSIZE, -EAGAIN, or -EPROTO when the ring is corrupt. The
  // engine sees it with the next publish.
  int push(const Push& pushed, std::int64_t now);
  void publish();

  // Lends what is missing of the pairs for notices, and publishes. False: the ring is corrupt.
  bool lend();
  // From now on notices that still come are dropped, and no pair is lent any more.
  void decline_notices() { notices_max_ = 0; }

  // Takes what the engine has completed. False: it wrote nonsense and cannot be trusted any more.
  bool collect(OutcomeQueue& outcomes);
  // True also when the ring is corrupt: collect tells.
  bool has_completions();
  void arm_wake();
  void disarm_wake();
  [[nodiscard]] bool wake_is_armed() const;

  // No request is due before.
  [[nodiscard]] std::int64_t earliest_deadline_ns() const { return earliest_deadline_ns_; }
  // Ends the requests whose deadline has passed. Call after collect, so that an answer that is there counts.
  void expire(std::int64_t now, OutcomeQueue& outcomes);
  // Ends the open requests with this tag and says how many there were.
  std::uint32_t cancel(std::uint64_t tag, OutcomeQueue& outcomes);
  // Ends all open requests.
  void settle(shm::Reason reason, OutcomeQueue& outcomes);

  // The application is about to be told this outcome. In the order of the queue, or with told_at 0.
  void hand_over(const RequestOutcome& outcome);
  // What was handed over counts as seen: if the process dies, it is no orphan.
  void publish_seen();

  // Gives an answer or a notice back. False if the application does not hold it.
  bool release(SlotUse use);

  // False: there is none at the moment.
  bool take_trace_number(std::uint32_t& number) { return trace_numbers_.next(number); }
  // The same when the block is used up; the error: the engine wrote nonsense.
  std::expected<bool, shm::TraceLeaseCorrupt> begin_trace_block(std::uint32_t& number);
  // When begin_trace_block found nothing: has the engine grant more, and wake this channel if it sleeps.
  void ask_for_trace_numbers();
  // Since begin_trace_block found nothing.
  [[nodiscard]] bool trace_numbers_have_come() const { return trace_numbers_.is_relieved(); }

 private:
  enum class State : std::uint8_t {
    none,
    reserved,
    open,
    decided,    // has its outcome; the engine still has the slots
    lent,       // to the engine for a notice
    delivered,  // bears a notice that the application has, or will take
  };
  struct Request {  // indexed by its request slot
    std::uint64_t tag = 0;
    std::int64_t deadline_ns = kNever;
    std::uint32_t response_slot = 0;
    State state = State::none;
  };

  [[nodiscard]] const shm::ClientGeometry& geometry() const { return attachment_->geometry(); }
  SlotUse take_slot(Holder holder);
  void wipe_freed_slots();
  bool accept(const shm::CompletionDescriptor& completion, OutcomeQueue& outcomes);
  bool accept_outcome(std::uint32_t slot, const shm::CompletionDescriptor& completion, OutcomeQueue& outcomes);
  bool accept_notice(SlotUse pair, const shm::CompletionDescriptor& completion, OutcomeQueue& outcomes);
  void decide_request(std::uint32_t slot, shm::Reason reason, OutcomeQueue& outcomes);
  void report(std::uint32_t slot, const Verdict& verdict, std::uint64_t told_at, OutcomeQueue& outcomes);

  std::shared_ptr<Attachment> attachment_;
  shm::OpenChannelReply reply_;
  shm::UniqueFd wake_;
  std::uint32_t request_bytes_max_ = 0;

  shm::ChannelHeader* header_ = nullptr;
  std::span<shm::SlotControl> controls_;
  std::span<std::byte> payload_;
  shm::RingProducer<shm::RequestDescriptor> ring_out_;
  shm::RingConsumer<shm::CompletionDescriptor> ring_in_;
  shm::TraceLeaseConsumer trace_numbers_;

  SlotTable slots_;
  std::vector<Request> requests_;
  std::uint64_t collected_ = 0;  // completions
  std::uint64_t seen_ = 0;       // of these
  std::uint64_t seen_published_ = 0;
  std::uint32_t in_flight_ = 0;
  std::uint32_t open_ = 0;
  std::uint32_t notices_max_ = 0;
  std::uint32_t notices_ = 0;  // pairs that are lent or delivered
  std::uint32_t lent_ = 0;     // of these
  std::int64_t earliest_deadline_ns_ = kNever;
};

}  // namespace tlsmux::client
