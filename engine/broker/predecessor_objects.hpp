#pragma once

// What engines before the present one have left of what they knew of ports, for it to read until it serves: the group
// objects of those that died; over a stop of tlsmuxd, and to a later one, the files of a PortTableStore.

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/broker/port_table_store.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// One for each broker. The locks of all groups that it is asked about are the broker's.
class PredecessorObjects {
 public:
  // The store outlives it; null: nothing is kept over a stop.
  explicit PredecessorObjects(uid_t engine_uid, const PortTableStore* store = nullptr)
      : engine_uid_(engine_uid), store_(store) {}

  // -1: there is none. Of a group that this broker has made no object for, what a tlsmuxd that was killed has left is
  // taken, if it is a group's object of that name, is root's, the engine's or this user's, and nobody else may write it;
  // else what one that was stopped has kept.
  int find(const std::string& group);

  // An object of the group is about to be made, which takes the name of one that was left.
  void about_to_make(const std::string& group) { keep_leftover(group); }
  // It is made: the descriptor, for reading, is copied.
  void made(const std::string& group, int descriptor);

  struct Shortened {
    std::string group;
    std::uint64_t bytes = 0;
    std::uint64_t bytes_made = 0;
  };
  // Of what was made for the present engine, the objects that somebody has made shorter since: touching what is gone ends
  // the engine by SIGBUS. Their owner can do that, and root.
  [[nodiscard]] std::vector<Shortened> shortened() const;
  // The engine serves: it needs those before it no more.
  void engine_serves();
  // The engine is dead. What it made comes in the place of what was before it, if it served.
  void engine_died();

  // These are all groups from now on: nothing is known of others.
  void forget_others(const std::vector<config::GroupSettings>& groups);
  // tlsmuxd stops, and no engine runs any more: what they left of these groups is kept for the next one.
  void keep_all(const std::vector<config::GroupSettings>& groups);

 private:
  void keep_leftover(const std::string& group);

  struct Objects {
    shm::UniqueFd predecessor;
    shm::UniqueFd present;
    std::uint64_t present_bytes = 0;  // as made
    bool is_kept = false;             // the predecessor is what the store has
  };
  uid_t engine_uid_;
  const PortTableStore* store_;
  bool has_served_ = false;                 // the present engine
  bool has_ever_served_ = false;            // any of this broker's
  std::map<std::string, Objects> objects_;  // of all groups that were asked about
};

}  // namespace tlsmux::engine::broker
