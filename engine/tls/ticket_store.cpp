#include "engine/tls/ticket_store.hpp"

#include <utility>

namespace tlsmux::engine::tls {

void TicketStore::keep(const std::string& server_name, Ticket ticket) {
  std::vector<Ticket> dropped;  // given back outside the lock
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  auto& kept = tickets_[server_name];
  if (!ticket.single_use) {
    dropped = std::exchange(kept, {});
  } else if (kept.size() == kTicketsPerNameMax) {
    dropped.push_back(std::move(kept.front()));
    kept.erase(kept.begin());
  }
  kept.push_back(std::move(ticket));
}

std::optional<Ticket> TicketStore::take(const std::string& server_name, std::int64_t now_s) {
  std::vector<Ticket> dropped;
  const std::lock_guard lock(mutex_);
  const auto found = tickets_.find(server_name);
  if (found == tickets_.end()) return std::nullopt;
  auto& kept = found->second;
  while (!kept.empty()) {
    if (now_s < kept.back().end_s) {
      Ticket newest = kept.back();
      if (newest.single_use) kept.pop_back();
      return newest;
    }
    dropped.push_back(std::move(kept.back()));
    kept.pop_back();
  }
  return std::nullopt;
}

void TicketStore::forget(const std::string& server_name) {
  std::vector<Ticket> dropped;
  const std::lock_guard lock(mutex_);
  const auto found = tickets_.find(server_name);
  if (found != tickets_.end()) dropped = std::exchange(found->second, {});
}

}  // namespace tlsmux::engine::tls
