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
  bool step(EngineProcess* engine);
  [[nodiscard]] bool is_dead() const { return dead_; }
  // Its kernel reports the engine's death.
  void engine_died();

  // What the application does of its own accord.
  struct Conduct {
    bool submits = true;
    bool attaches = true;
  };
  void set_conduct(Conduct conduct) { conduct_ = conduct; }
  // One request on each channel, which must be answered.
  void probe();
  // Ends all that it has with this engine.
  void leave(EngineProcess& engine);

  // It has nothing open, holds nothing, and the engine holds nothing of it.
  [[nodiscard]] bool is_idle() const;
  [[nodiscard]] bool is_attached() const { return attached_.has_value(); }
  [[nodiscard]] bool is_ready_to_probe() const { return attached_ && channels_.size() == wanted_channels_; }
  [[nodiscard]] std::uint32_t group() const { return group_; }
  // When it does something by itself; 0: never.
  [[nodiscard]] std::uint64_t next_due_ns() const;
  // Throws Violation when the engine or the client sleeps over something. `engine` is fast asleep.
  void check_nothing_is_slept_over(bool engine_is_fast_asleep) const;

  // ControlListener.
  void channel_opened(const shm::OpenChannelReply& reply, shm::UniqueFd wake) override;
  void channel_refused(int error) override;
  void channel_closed(int error) override;
  void detached(const std::string& rule) override;

 private:
  struct HeldAnswer {
    client::SlotUse use;
    std::span<const std::byte> bytes;
    std::uint64_t digest = 0;
  };
  struct Channel {
    std::uint32_t upstream = 0;
    std::unique_ptr<client::AttachedChannel> attached;
    client::OutcomeQueue outcomes;
    std::vector<std::uint64_t> open;  // requests
    std::vector<HeldAnswer> held;
    bool asleep = false;
    bool closing = false;
  };

  bool step_attachment(EngineProcess* engine);
  bool misbehave(EngineProcess& engine);
  bool step_channel(EngineProcess& engine, Channel& channel);
  bool wake_up(Channel& channel);
  bool submit(Channel& channel);
  void submit_one(Channel& channel, bool must_be_answered);
  bool collect(Channel& channel);
  bool expire(Channel& channel);
  bool cancel(Channel& channel);
  bool release(Channel& channel);
  bool sleep(Channel& channel);
  bool close(EngineProcess& engine, Channel& channel);
  void retire(shm::Reason reason);
  void report(Channel& channel);
  void scribble();
  void die(EngineProcess* engine);
  [[nodiscard]] std::int64_t now() const { return static_cast<std::int64_t>(context_.now_ns); }
  [[nodiscard]] std::vector<std::uint32_t> allowed_upstreams() const;

  Context& context_;
  std::uint32_t number_;
  std::uint32_t group_;
  std::size_t wanted_channels_;
  Conduct conduct_;
  std::uint32_t epoch_ = 0;
  std::optional<Attached> attached_;
  std::vector<Channel> channels_;
  bool asked_ = false;            // a question to the control thread is open
  std::uint32_t asked_upstream_ = 0;
  std::uint32_t closing_number_ = 0;
  bool dead_ = false;
  bool mad_ = false;  // has scribbled
};

}  // namespace tlsmux::simulation
