#pragma once

// The boundary of protocols whose framing cuts messages: between two frames in both directions, and as many answers as
// questions. Keep-alives and session control are neither.

#include <cstdint>

#include "engine/message/boundary.hpp"
#include "engine/message/frame_cutter.hpp"

namespace tlsmux::engine::message {

class FramingBoundary final : public Boundary {
 public:
  // `framing` cuts messages, and outlives this.
  explicit FramingBoundary(const Framing& framing) : questions_(framing), answers_(framing) {}

  void sent(std::span<const std::byte> bytes) override;
  void received(std::span<const std::byte> bytes) override;
  [[nodiscard]] bool is_clean() const override;
  [[nodiscard]] bool is_owed() const override;
  [[nodiscard]] bool is_owed_at_end() const override;
  [[nodiscard]] bool is_within_question() const override { return !is_lost_ && !questions_.at_boundary(); }
  [[nodiscard]] bool is_understood() const override { return !is_lost_; }

 private:
  FrameCutter questions_;
  FrameCutter answers_;
  std::uint64_t unanswered_ = 0;
  bool has_sent_ = false;
  bool is_lost_ = false;  // a frame that is none, or a message that answers nothing
};

}  // namespace tlsmux::engine::message
