#pragma once

// The channels of a client as the control socket sees them: which are wanted, asked for, open, to be closed. One
// question is on the way at a time, since answers bear no number. Not thread-safe: guarded by the client's mutex.

#include <cstdint>
#include <expected>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "client/attached_channel.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::client {

// One channel of the application, over all engines. Its owner claims what the engine opened for it.
struct ChannelTicket {
  enum class State : std::uint8_t { wanted, asked, opened, claimed, refused };

  shm::Name upstream{};
  ChannelSettings settings;
  int nudge = -1;  // eventfd of the owner: written when the state has changed; -1: the owner is looking
  State state = State::wanted;
  std::unique_ptr<AttachedChannel> opened;
  shm::SystemError refusal;
  std::int64_t retry_ns = 0;  // when a refused one is asked for again
};

class ChannelRegistry {
 public:
  // The ticket lives until `remove`.
  ChannelTicket* add(const shm::Name& upstream, const ChannelSettings& settings, int nudge);
  // What the owner had of the present engine is closed as soon as the engine has returned its slots.
  void remove(ChannelTicket* ticket, std::unique_ptr<AttachedChannel> attached);
  [[nodiscard]] bool empty() const { return tickets_.empty(); }

  // The engine is lost: all is wanted anew.
  void forget_engine();

  // An answer of the engine. An error: it is no answer to what was asked.
  std::expected<void, shm::SystemError> take(shm::Packet& packet, const std::shared_ptr<Attachment>& attachment,
                                             std::int64_t now);
  // Asks the next question, if none is on the way.
  void pump(int control, std::int64_t now);
  // When `pump` has something to do although nothing was received.
  [[nodiscard]] std::int64_t next_step_ns() const;

  // A question is on the way.
  [[nodiscard]] bool is_asking() const { return question_ != Question::none; }

  // The last refusal since the previous call.
  std::optional<shm::SystemError> take_refusal() { return std::exchange(refusal_, std::nullopt); }

 private:
  enum class Question : std::uint8_t { none, open, close };

  void reap_drained();
  bool pump_close(int control, std::int64_t now);
  std::expected<void, shm::SystemError> take_opened(shm::Packet& packet, const std::shared_ptr<Attachment>& attachment);
  void take_refused(const shm::SystemError& refusal, std::int64_t now);

  std::list<ChannelTicket> tickets_;
  Question question_ = Question::none;
  ChannelTicket* asked_for_ = nullptr;  // null: its owner has gone meanwhile
  std::uint32_t closing_number_ = 0;

  std::vector<std::unique_ptr<AttachedChannel>> draining_;  // closed by their owners, slots still at the engine
  std::vector<std::uint32_t> to_close_;
  std::int64_t close_not_before_ns_ = 0;
  std::optional<shm::SystemError> refusal_;
};

}  // namespace tlsmux::client
