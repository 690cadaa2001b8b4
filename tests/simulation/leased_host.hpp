#pragma once

// One host's side of one connection whose session is leased: answers frames, HTTP/1.1 requests, or byte by byte, as the
// upstream's framing is.

#include <deque>
#include <memory>
#include <string>

#include "engine/message/frame_cutter.hpp"
#include "tests/simulation/host.hpp"

namespace tlsmux::simulation {

class LeasedHost final : public HostSide {
 public:
  LeasedHost(Context& context, std::uint32_t upstream, std::uint64_t connection);

  void receive(std::span<const std::byte> bytes) override;
  // Answers that nobody takes stop it.
  [[nodiscard]] bool is_reading() const override { return is_reading_ && output_.size() < kOutputBytesMax; }
  bool act() override;
  std::vector<std::byte>& output() override { return output_; }
  [[nodiscard]] bool is_ended() const override { return is_ended_; }

 private:
  static constexpr std::size_t kOutputBytesMax = 32 * 1024;

  struct Answer {
    std::vector<std::byte> bytes;
    bool is_answer = true;  // else the host speaks of its own accord
    bool closes = false;
  };

  void hear(std::span<const std::byte> plaintext);
  void hear_frames(std::span<const std::byte> plaintext);
  void hear_http(std::span<const std::byte> plaintext);
  void hear_bytes(std::span<const std::byte> plaintext);
  void misunderstand(const char* what);
  bool misbehave();
  bool lie();
  bool say_some();
  void end();

  Context& context_;
  std::uint32_t upstream_;
  std::uint64_t connection_;
  engine::message::Framing framing_;
  std::unique_ptr<engine::message::FrameCutter> cutter_;
  std::string http_;  // that is not answered
  bool has_answered_early_ = false;
  std::deque<Answer> answers_;
  std::vector<std::byte> output_;
  bool is_reading_ = true;
  bool is_mute_ = false;
  bool is_ended_ = false;
  bool is_half_closed_ = false;  // by the client
};

}  // namespace tlsmux::simulation
