#pragma once

// One host's side of one connection: shakes hands, hears requests, answers as its faults let it.

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/message/frame_cutter.hpp"
#include "tests/simulation/context.hpp"
#include "tests/simulation/host_tls.hpp"

namespace tlsmux::simulation {

class HostSide {
 public:
  HostSide(Context& context, std::uint32_t upstream);
  virtual ~HostSide() = default;
  HostSide(const HostSide&) = delete;
  HostSide& operator=(const HostSide&) = delete;

  // Bytes off the network.
  virtual void receive(std::span<const std::byte> bytes) = 0;
  [[nodiscard]] virtual bool is_reading() const = 0;

  // Does one thing of its own accord. False: it has nothing to do.
  virtual bool act() = 0;

  // What it has written and the network has not carried yet. It ends the connection once that is gone, if is_ended().
  virtual std::vector<std::byte>& output() = 0;
  [[nodiscard]] virtual bool is_ended() const = 0;

  // Bytes of its connection have changed on their way.
  void note_spoilt() {
    is_spoilt_ = true;
    tls_->note_spoilt();
  }

 protected:
  [[nodiscard]] Manner manner() const { return manner_; }
  // Either end may wait for the rest of a record whose length was spoilt.
  [[nodiscard]] bool is_spoilt() const { return is_spoilt_; }
  [[nodiscard]] HostTls& tls() { return *tls_; }
  [[nodiscard]] const HostTls& tls() const { return *tls_; }

 private:
  Manner manner_;
  std::unique_ptr<HostTls> tls_;
  bool is_spoilt_ = false;
};

// As the upstream is at present.
std::unique_ptr<HostSide> make_host(Context& context, std::uint32_t upstream, std::uint64_t connection);

// Of an upstream that takes requests.
class Host final : public HostSide {
 public:
  Host(Context& context, std::uint32_t upstream, std::uint64_t connection);

  void receive(std::span<const std::byte> bytes) override;
  [[nodiscard]] bool is_reading() const override { return reading_; }
  bool act() override;
  std::vector<std::byte>& output() override { return output_; }
  [[nodiscard]] bool is_ended() const override { return ended_; }

 private:
  void hear(std::span<const std::byte> message);
  bool misbehave();
  void answer_one();
  void say(std::span<const std::byte> message);
  void end();

  Context& context_;
  std::uint32_t upstream_;
  std::uint64_t connection_;
  std::size_t key_offset_;
  bool in_order_;
  engine::message::Framing framing_;
  engine::message::FrameCutter cutter_;
  std::deque<std::vector<std::byte>> answers_;  // owed
  std::vector<std::byte> plaintext_;            // framed and not sealed yet
  std::vector<std::byte> output_;
  bool reading_ = true;
  bool mute_ = false;       // answers nothing any more
  bool ended_ = false;      // sends no more
  bool half_open_ = false;  // and still listens
};

}  // namespace tlsmux::simulation
