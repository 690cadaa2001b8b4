#pragma once

// What becomes of the groups' tables of ports between two tlsmuxd: a file for each group in the state directory,
// INSTANCE.GROUP.tables, mode 0600, named after the control socket like the journal of the reservation. It holds the tables
// of the engine that was stopped (port_table_image.hpp), the boot in which they mean something, and a sum. The next engine
// believes of it no more than of a dead engine's object.

#include <string>
#include <vector>

#include "config/config.hpp"
#include "engine/broker/port_table_image.hpp"
#include "engine/log/log.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

// One for each broker; the locks of the groups are the broker's. What fails is logged, with what it means.
class PortTableStore {
 public:
  // The log outlives it.
  PortTableStore(std::string state_folder, const std::string& control_socket, Log& log);

  // The image that was kept, sealed; of another boot, its labels. Empty: there is none that can be believed.
  [[nodiscard]] shm::UniqueFd load(const std::string& group) const;
  // In the place of what was kept: what the file says, a group's part or an image. On the disk when it returns.
  void keep(const std::string& group, int file, PortTableContents contents) const;
  // Of groups that are not among these.
  void remove_others(const std::vector<config::GroupSettings>& groups) const;

  [[nodiscard]] std::string path_of(const std::string& group) const;

 private:
  std::string folder_;
  std::string start_;  // of the names of its files
  Log& log_;
};

}  // namespace tlsmux::engine::broker
