#pragma once

// What the log says of clients that are thrown out, so that a storm of them cannot fill it: a few lines a second of each
// group, and one at least for each reason. The rest is counted by reason; the counts are to be written when the second is
// over. While some are left out, the other lines about clients of that group are, too: there would be as many. It does no
// system call and reads no clock.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control/throttle.hpp"

namespace tlsmux::engine::control {

class DetachmentLog {
 public:
  using Clock = Throttle::Clock;

  // Of a group in a second. A client has a say in some reasons' words; what is beyond has one count.
  static constexpr std::size_t kReasonsMax = 32;
  static constexpr const char* kOtherReasons = "other reasons";

  struct LeftOut {
    std::string group;
    std::string reason;  // empty: other lines about clients
    std::uint64_t lines = 0;
  };

  // Whether the line is to be written: that a client was detached for this reason; another one about a client.
  [[nodiscard]] bool pass(std::string_view group, std::string_view reason, Clock::time_point now);
  [[nodiscard]] bool pass_other(std::string_view group);

  // When there will be something to take (long ago: there is); what there is by then.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  [[nodiscard]] std::vector<LeftOut> take_left_out(Clock::time_point now);

 private:
  // Of a group. It begins with a detachment.
  struct Second {
    std::string group;
    Clock::time_point ends;
    std::uint32_t passed = 0;
    std::vector<LeftOut> reasons{};  // also those of no lines
    std::uint64_t others = 0;

    [[nodiscard]] bool leaves_out() const;
  };

  Second& second_of(std::string_view group, Clock::time_point now);
  void end_seconds(Clock::time_point now);

  std::vector<Second> seconds_;
  std::vector<LeftOut> due_;
};

}  // namespace tlsmux::engine::control
