#pragma once

// Brings waiting requests to sessions: the least loaded one with room takes the next, and all that one session takes
// in one go is sealed into as few records as hold it and sent together.

#include <array>
#include <span>
#include <vector>

#include "engine/mux/session_life.hpp"
#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

class Dispatch {
 public:
  Dispatch(MuxState& state, Settlement& settlement, SessionLife& life);

  // Seals and sends what can be sent now; the rest stays queued.
  void flush(Upstream& upstream);

 private:
  // What one session has taken in this flush and is not sealed yet.
  struct Batch {
    std::vector<RequestIndex> requests;
    std::size_t plaintext_bytes = 0;
  };

  void watch_for_silence(Session& session);
  [[nodiscard]] bool takes_another(const Session* session, const Request& request) const;
  Session* choose(Upstream& upstream, const Request& request);
  [[nodiscard]] bool has_room(const Session& session, const Request& request) const;
  bool take(Upstream& upstream, RequestIndex index);
  void seal(Session& session);
  bool add(Session& session, std::span<const std::byte> bytes);
  bool seal_record(Session& session);

  MuxState* state_;
  Settlement* settlement_;
  SessionLife* life_;
  std::vector<Batch> batches_;  // by session index
  std::vector<std::array<std::byte, config::kFrameHeaderBytesMax>> headers_;
  std::vector<std::span<const std::byte>> parts_;  // of the record being put together
  std::size_t record_bytes_ = 0;
};

}  // namespace tlsmux::engine::mux
