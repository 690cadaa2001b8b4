#pragma once

#include "engine/control/user_throttle.hpp"
#include "engine/log/log.hpp"
#include "engine/mux/seams.hpp"

namespace tlsmux::engine {

// Writes what happens to sessions and streams into the log. A host that sends unsolicited messages without end is logged
// the first time and then at each power of two.
class EventLog final : public mux::Events {
 public:
  // `log` outlives it.
  explicit EventLog(Log& log) : log_(&log) {}
  void event(const mux::Event& event) override;

 private:
  Log* log_;
  std::uint64_t unsolicited_ = 0;
  control::UserThrottle streams_ended_;
};

}  // namespace tlsmux::engine
