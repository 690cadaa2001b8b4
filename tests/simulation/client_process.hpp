#pragma once

// One client process: the client library's own channels on a simulated engine, used by an application that does all an
// application may do, in any order, and dies or goes mad at any moment.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "client/attached_channel.hpp"
#include "tests/simulation/engine_process.hpp"

namespace tlsmux::simulation {

class ClientProcess final : public ControlListener {
 public:
  // Numbers are never used again.
  ClientProcess(Context& context, std::uint32_t number, std::uint32_t group);
  ~ClientProcess() override;

  // One step of the process, with the engine that runs now, if any. False: it waits. It may have died: is_dead().
  bool step(EngineProcess* present);
  [[nodiscard]] bool is_dead() const { return dead_; }
  // Its engine is dead. It learns of that some time later, and may go on writing into its memory until then.
  void engine_died() { engine_ = nullptr; }

  // Somebody kills it if it is out of its mind.
  void kill_if_mad();

  // What the application does of its own accord.
  struct Conduct {
    bool submits = true;
    bool attaches = true;
  };
  void set_conduct(Conduct conduct) { conduct_ = conduct; }
  // One request on one channel, which must be answered. Requires channel < channel_count().
  void probe(std::size_t channel);
  [[nodiscard]] std::uint32_t group() const { return group_; }
  [[nodiscard]] std::size_t channel_count() const { return channels_.size(); }
  [[nodiscard]] std::uint32_t upstream_of(std::size_t channel) const { return channels_[channel].upstream; }
  // Nothing lies on its completion rings, and it holds nothing.
  [[nodiscard]] bool has_read_all() const;
  // Opens nothing but one channel to this upstream, and takes orphans from it.
  void inherit(std::uint32_t upstream) {
    wanted_channels_ = 1;
    heir_of_ = upstream;
  }
  // Ends all that it has with its engine.
  void leave();

  // It has nothing open, holds nothing, the engine holds nothing of it, and it knows if that is dead.
  [[nodiscard]] bool is_idle() const;
  // It is attached to an engine that is dead, and has not noticed yet.
  [[nodiscard]] bool mourns() const { return attached_ && engine_ == nullptr; }
  // When it does something by itself; 0: never.
  [[nodiscard]] std::uint64_t next_due_ns() const;
  // Its engine is fast asleep, and no wake is on its way. Throws Violation if one of the two sleeps over something.
  void check_nothing_is_slept_over() const;

  // ControlListener.
  void channel_opened(const shm::OpenChannelReply& reply, shm::UniqueFd wake) override;
  void channel_refused(int error) override;
  void channel_closed(int error) override;
  void detached(const std::string& rule) override;

 private:
  struct Held {  // an answer or a notice
    client::SlotUse use;
    std::span<const std::byte> bytes;
    std::uint64_t digest = 0;
  };
  struct Channel {
    std::uint32_t upstream = 0;
    std::uint64_t opening = 0;
    std::uint32_t flags = 0;
    std::unique_ptr<client::AttachedChannel> attached;
    client::OutcomeQueue outcomes;
    std::vector<std::uint64_t> open;      // requests
    std::vector<std::uint64_t> given_up;  // the last requests that ended before an answer came
    client::SlotHandle last_pushed;
    std::vector<Held> held;
    bool asleep = false;
    bool closing = false;
  };

  bool step_attachment(EngineProcess* present);
  bool misbehave();
  bool open();
  bool step_channel(Channel& channel);
  bool wake_up(Channel& channel);
  bool submit(Channel& channel);
  void submit_one(Channel& channel, bool must_be_answered);
  void push(Channel& channel, std::uint64_t number, const client::Push& pushed);
  void reply(Channel& channel, const client::RequestOutcome& notice);
  void hear(Channel& channel, const client::RequestOutcome& notice);
  void hear_late(const Channel& channel, std::uint64_t tag, std::span<const std::byte> message);
  void lend(Channel& channel);
  [[nodiscard]] std::uint32_t some_flags(std::uint32_t upstream);
  bool collect(Channel& channel);
  bool expire(Channel& channel);
  bool cancel(Channel& channel);
  bool release(Channel& channel);
  bool fall_asleep(Channel& channel);
  bool close(Channel& channel);
  void retire(shm::Reason reason);
  bool report(Channel& channel);
  void report_all(Channel& channel);
  void report_one(Channel& channel, const client::RequestOutcome& outcome);
  void report_out_of_turn(Channel& channel);
  void scribble();
  void die();
  [[nodiscard]] std::int64_t now() const { return static_cast<std::int64_t>(context_.now_ns); }
  [[nodiscard]] std::vector<std::uint32_t> allowed_upstreams() const;

  Context& context_;
  std::uint32_t number_;
  std::uint32_t group_;
  std::size_t wanted_channels_;
  Conduct conduct_;
  std::uint32_t epoch_ = 0;
  EngineProcess* engine_ = nullptr;  // to which it is attached; null: none, or dead
  std::optional<Attached> attached_;
  std::vector<Channel> channels_;
  bool asked_ = false;  // a question to the control thread is open
  std::uint32_t asked_upstream_ = 0;
  std::uint32_t asked_flags_ = 0;
  std::optional<std::uint32_t> heir_of_;
  std::uint32_t closing_number_ = 0;
  bool dead_ = false;
  bool mad_ = false;  // has scribbled
};

}  // namespace tlsmux::simulation
