#include "engine/log/event_log.hpp"

#include <bit>

namespace tlsmux::engine {

void EventLog::event(const mux::Event& event) {
  using enum mux::EventKind;
  const auto reason = shm::reason_name(event.reason);
  switch (event.kind) {
    case session_ready:
      return log_->info("session_ready",
                        {{"upstream", event.upstream}, {"session", event.session}, {"address", event.address}});
    case session_failed:
      return log_->warning("session_failed", {{"upstream", event.upstream},
                                              {"session", event.session},
                                              {"address", event.address},
                                              {"reason", reason},
                                              {"why", event.words},
                                              {"retry_in_ms", event.retry_in_ms}});
    case session_lost:
      return log_->warning("session_lost", {{"upstream", event.upstream},
                                            {"session", event.session},
                                            {"address", event.address},
                                            {"reason", reason},
                                            {"why", event.words},
                                            {"maybe_sent", event.maybe_sent},
                                            {"retry_in_ms", event.retry_in_ms}});
    case session_closed:
      return log_->info("session_closed", {{"upstream", event.upstream},
                                           {"session", event.session},
                                           {"address", event.address},
                                           {"why", event.words},
                                           {"maybe_sent", event.maybe_sent}});
    case unsolicited_message:
      if (std::has_single_bit(++unsolicited_)) {
        log_->warning(
            "unsolicited_message",
            {{"upstream", event.upstream}, {"session", event.session}, {"why", event.words}, {"so_far", unsolicited_}});
      }
      return;
    case orphans_dropped:
      return log_->warning(
          "orphans_dropped",
          {{"group", event.group}, {"upstream", event.upstream}, {"why", event.words}, {"orphans", event.orphans}});
    case stream_ended:
      if (const auto unlogged = streams_ended_.pass(event.uid, control::UserThrottle::Clock::now())) {
        log_->warning("stream_ended", {{"upstream", event.upstream},
                                       {"stream", event.stream},
                                       {"group", event.group},
                                       {"pid", event.pid},
                                       {"reason", reason},
                                       {"why", event.words},
                                       {"unlogged", *unlogged}});
      }
      return;
  }
}

}  // namespace tlsmux::engine
