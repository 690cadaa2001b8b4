#pragma once

// Brings outcomes to callers: moves the slot word, writes the answer into the response slot, pushes the completion.
// What is pushed becomes visible with publish(), once for a whole turn. Outcomes of the dead go to the orphan store.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/mux/seams.hpp"
#include "engine/shard/client_table.hpp"
#include "engine/shard/orphan_store.hpp"
#include "engine/shard/subscriptions.hpp"
#include "shm/doorbell.hpp"

namespace tlsmux::engine {

class Outlet final : public mux::Callers {
 public:
  // Both outlive it.
  Outlet(ClientTable& clients, OrphanStore& orphans) : clients_(&clients), orphans_(&orphans) {}

  bool take(const mux::Caller& caller) override;
  bool still_wanted(const mux::Caller& caller) override;
  std::span<const std::byte> message(const mux::Caller& caller, std::uint32_t length) override;
  bool answer(const mux::Caller& caller, std::span<const std::byte> message) override;
  bool refuse(const mux::Caller& caller, const mux::Refusal& refusal) override;
  bool lose(const mux::Caller& caller, shm::Reason reason) override;
  shm::Reason own_reason(const mux::Caller& caller) override;

  // Gives a lent pair back with a notice: the dead process's request, if any, in the request slot, the message in the
  // other. Of `notice` tag, reason, outcome, error, notice_kind and notice are used.
  void deliver(std::uint32_t channel_ref, const LentPair& pair, const shm::CompletionDescriptor& notice,
               std::span<const std::byte> request, std::span<const std::byte> message);

  // Has the client of this channel woken with the next publish(), if it sleeps.
  void touch(std::uint32_t channel_ref) {
    if (!std::exchange(clients_->channel_of(channel_ref).has_completions, true)) touched_.push_back(channel_ref);
  }

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
  bool decided_by_caller(const mux::Caller& caller, bool was_sent);
  void give_back(const mux::Caller& caller, const shm::CompletionDescriptor& completion);
  void push(std::uint32_t channel_ref, const shm::CompletionDescriptor& completion);

  ClientTable* clients_;
  OrphanStore* orphans_;
  std::vector<std::uint32_t> touched_;  // channels with completions to be published
  std::vector<Offence> offences_;
};

template <typename Ring>
void Outlet::publish(Ring&& ring) {
  for (const auto ref : touched_) {
    auto& channel = clients_->channel_of(ref);
    channel.has_completions = channel.has_outcomes = false;
    channel.completions.publish();
    if (shm::must_ring(channel.header->client_armed)) ring(ref);
  }
  touched_.clear();
}

}  // namespace tlsmux::engine
