#pragma once

// Brings outcomes to callers: moves the slot word, writes the answer into the response slot, pushes the completion.
// What is pushed becomes visible with publish(), once for a whole turn.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/client_table.hpp"
#include "engine/mux/seams.hpp"
#include "shm/doorbell.hpp"

namespace tlsmux::engine {

class Outlet final : public mux::Callers {
 public:
  explicit Outlet(ClientTable& clients) : clients_(&clients) {}

  bool take(const mux::Caller& caller) override;
  bool still_wanted(const mux::Caller& caller) override;
  std::span<const std::byte> message(const mux::Caller& caller, std::uint32_t length) override;
  bool answer(const mux::Caller& caller, std::span<const std::byte> message) override;
  bool refuse(const mux::Caller& caller, shm::Reason reason) override;
  bool lose(const mux::Caller& caller, shm::Reason reason) override;

  // Makes visible what was pushed. Calls `ring` with the ref of each channel whose client sleeps.
  template <typename Ring>
  void publish(Ring&& ring);

  // A client that wrote what no client may write. The first rule it broke.
  struct Offence {
    std::uint32_t client_index = 0;
    std::string_view rule;
  };
  std::vector<Offence> take_offences() { return std::exchange(offences_, {}); }
  void report(std::uint32_t client_index, std::string_view rule) { offences_.push_back({client_index, rule}); }

 private:
  bool settle(const mux::Caller& caller, shm::SlotState from, shm::SlotState to,
              const shm::CompletionDescriptor& result);
  bool decided_by_caller(const mux::Caller& caller);
  void push(const mux::Caller& caller, const shm::CompletionDescriptor& completion);

  ClientTable* clients_;
  std::vector<std::uint32_t> touched_;  // channels with completions to be published
  std::vector<Offence> offences_;
};

template <typename Ring>
void Outlet::publish(Ring&& ring) {
  for (const auto ref : touched_) {
    auto& channel = clients_->channel_of(ref);
    channel.has_completions = false;
    channel.completions.publish();
    if (shm::must_ring(channel.header->client_armed)) ring(ref);
  }
  touched_.clear();
}

}  // namespace tlsmux::engine
