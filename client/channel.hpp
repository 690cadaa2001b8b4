#pragma once

// A channel as the application has it: one for its whole life, over as many engines as there are. One thread.
//
// What is at the present engine is `current_`. When that engine is lost, its open requests are settled into the queue
// of outcomes at once, and it is kept only as long as the application holds buffers or answers of it.

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "client/attached_channel.hpp"
#include "client/channel_waiter.hpp"
#include "client/client.hpp"
#include "client/monotonic_clock.hpp"
#include "client/outcome_queue.hpp"

namespace tlsmux::client {

class Channel {
 public:
  struct Buffer {
    SlotHandle handle;
    std::span<std::byte> bytes;
  };
  struct Submission {
    SlotHandle handle;
    std::uint32_t length = 0;
    std::uint64_t tag = 0;
    std::uint32_t timeout_ms = 0;
    SlotHandle notice = {};       // of a reply: the host's message
    std::uint64_t notice_id = 0;  // 0: a request
  };

  // Blocks for the client's timeout at the most. What a tmx_channel_open_with returns, as a positive errno.
  static std::expected<std::unique_ptr<Channel>, int> open(std::shared_ptr<Client> client, std::string_view upstream,
                                                           const ChannelSettings& settings);

  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  // Gives up what is open; see is_idle.
  ~Channel();

  [[nodiscard]] const Client& client() const { return *client_; }
  // No request without an outcome, no outcome that was not taken. Notices do not count.
  [[nodiscard]] bool is_idle() const;

  // As the tmx_ functions of the same names; negative errnos.
  std::expected<Buffer, int> reserve();
  int abandon(const SlotHandle& handle);
  int submit(std::span<const Submission> submissions);
  int cancel(std::uint64_t tag);
  int release(const SlotHandle& answer);
  int descriptor();
  int upstream_row(shm::UpstreamRow& row);

  // The next trace number of the present block. False: next_trace_number() is to be called.
  bool take_trace_number(std::uint32_t& number) {
    return current_ != nullptr && current_->attachment().loss() == Loss::none &&
           coarse_now_ns() < trace_numbers_until_ns_ && current_->take_trace_number(number);
  }
  // Looks whether the channel's numbers are still its own; begins the next block, waiting for it until then.
  int next_trace_number(std::uint32_t& number, std::int64_t until_ns);

  // Does all that is due, and waits until there is an outcome or notice or the time has come.
  void wait_for_outcomes(std::int64_t until_ns);
  // The same for one submitted request: its deadline bounds the wait.
  RequestOutcome wait_for(const SlotHandle& request);
  [[nodiscard]] bool has_outcomes() const { return !outcomes_.empty(); }
  // The next outcome or notice. Requires has_outcomes().
  RequestOutcome take_outcome();
  // Call before the application gets what was taken, and goes on to wait on the descriptor: outcomes count as seen.
  void finish_taking();

  // Waits until a request can be reserved: its error if it cannot by then, or if only the application can change it.
  std::expected<Buffer, int> reserve_until(std::int64_t until_ns);
  // 0 while there is no engine.
  [[nodiscard]] std::uint32_t timeout_ms() const { return current_ != nullptr ? current_->timeout_ms() : 0; }

 private:
  Channel(std::shared_ptr<Client> client, ChannelWaiter waiter, const ChannelSettings& settings);

  int enroll(std::string_view upstream);
  void lend();
  void hand_over(const RequestOutcome& outcome);
  void prepare_descriptor();
  // 0 when there is a present engine and `current_` is at it.
  int ensure_attached();
  int attach_again();
  int prepare(const AttachedChannel& claimed);
  void look_after_trace_numbers();
  void retire();
  void condemn(const char* why);
  void settle_current();
  [[nodiscard]] bool has_room() const;
  bool collect();
  void do_what_is_due(std::int64_t now);
  void look_at_events(std::int64_t now);
  void sleep_until(std::int64_t until_ns);
  bool spin_until(std::int64_t until_ns);
  bool has_news();
  AttachedChannel* find(std::uint32_t epoch);
  void forget_if_unused(const AttachedChannel* channel);

  std::shared_ptr<Client> client_;
  ChannelSettings settings_;
  ChannelWaiter waiter_;
  ChannelTicket* ticket_ = nullptr;
  std::unique_ptr<AttachedChannel> current_;
  std::vector<std::unique_ptr<AttachedChannel>> retired_;
  OutcomeQueue outcomes_;
  std::int64_t attach_again_ns_ = kNever;  // when memory that was lacking is asked for again
  bool awaits_trace_number_ = false;
  std::int64_t trace_numbers_until_ns_ = 0;  // none of this channel's are handed out after it without another look
  std::int64_t look_again_ns_ = 0;           // when a poll that does not wait looks at the descriptors next
};

}  // namespace tlsmux::client
