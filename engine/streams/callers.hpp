#pragma once

// Brings outcomes to whoever asked: processes with channels, or streams.

#include <span>

#include "engine/mux/seams.hpp"
#include "engine/shard/outlet.hpp"
#include "engine/streams/streams.hpp"

namespace tlsmux::engine::streams {

class Callers final : public mux::Callers {
 public:
  // Both outlive it.
  Callers(Outlet& channels, Streams& streams) : channels_(&channels), streams_(&streams) {}

  bool take(const mux::Caller& caller) override {
    return mux::is_stream(caller) ? streams_->take(caller) : channels_->take(caller);
  }
  bool still_wanted(const mux::Caller& caller) override {
    return mux::is_stream(caller) ? streams_->still_wanted(caller) : channels_->still_wanted(caller);
  }
  std::span<const std::byte> message(const mux::Caller& caller, std::uint32_t length) override {
    return mux::is_stream(caller) ? streams_->message(caller, length) : channels_->message(caller, length);
  }
  bool answer(const mux::Caller& caller, std::span<const std::byte> message) override {
    return mux::is_stream(caller) ? streams_->answer(caller, message) : channels_->answer(caller, message);
  }
  bool refuse(const mux::Caller& caller, const mux::Refusal& refusal) override {
    return mux::is_stream(caller) ? streams_->refuse(caller, refusal) : channels_->refuse(caller, refusal);
  }
  bool lose(const mux::Caller& caller, shm::Reason reason) override {
    return mux::is_stream(caller) ? streams_->lose(caller, reason) : channels_->lose(caller, reason);
  }
  shm::Reason own_reason(const mux::Caller& caller) override {
    return mux::is_stream(caller) ? shm::Reason::cancelled : channels_->own_reason(caller);
  }

 private:
  Outlet* channels_;
  Streams* streams_;
};

}  // namespace tlsmux::engine::streams
