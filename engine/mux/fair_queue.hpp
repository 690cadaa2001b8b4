#pragma once

// The requests of one upstream that wait for a session. Groups have their turns, within a group clients have theirs,
// and each client's requests keep their order; so nobody who asks much makes another wait longer than his own turn.
// Requests that were taken once and come back go before all others. Every call is O(1); memory is allocated only when a
// client's number is seen for the first time.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/mux/request_table.hpp"

namespace tlsmux::engine::mux {

class FairQueue {
 public:
  explicit FairQueue(std::size_t groups) : groups_(groups) {}

  // So many groups from now on; never fewer than before.
  void set_groups(std::size_t groups) { groups_.resize(groups); }

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  // Whose turn it is; kNone when nobody waits.
  [[nodiscard]] RequestIndex front() const;

  // Behind the others of its client, which is one of its group.
  void push(RequestTable& table, RequestIndex index);
  // Before all that are here.
  void give_back(RequestTable& table, RequestIndex index);
  // Requires that it is the front. The turn goes on.
  void take(RequestTable& table, RequestIndex index);
  // Wherever it is. Costs nobody a turn.
  void remove(RequestTable& table, RequestIndex index);

  // Those that were pushed; what was given back is not counted.
  [[nodiscard]] std::size_t size_of_client(std::uint32_t client) const {
    return client < clients_.size() ? clients_[client].requests.size() : 0;
  }
  [[nodiscard]] std::size_t size_of_group(std::uint32_t group) const { return groups_[group].size; }

 private:
  // A place in a circle of those that wait.
  struct Turn {
    std::uint32_t previous = kNone;
    std::uint32_t next = kNone;
  };
  struct Client : Turn {
    RequestList requests;
  };
  struct Group : Turn {
    std::uint32_t client = kNone;  // whose turn it is
    std::size_t size = 0;
  };

  template <typename Place>
  static void join(std::vector<Place>& places, std::uint32_t& turn, std::uint32_t index);
  template <typename Place>
  static void leave(std::vector<Place>& places, std::uint32_t& turn, std::uint32_t index);

  RequestList given_back_;
  std::vector<Group> groups_;
  std::vector<Client> clients_;
  std::uint32_t group_ = kNone;  // whose turn it is
  std::size_t size_ = 0;
};

}  // namespace tlsmux::engine::mux
