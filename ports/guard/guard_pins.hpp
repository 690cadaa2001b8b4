#pragma once

// Where guards are pinned in a bpffs, and how one takes another's place:
//
//   BPF_DIRECTORY/tlsmux/v1/INSTANCE/     the one in force: its maps and links, all of them
//   BPF_DIRECTORY/tlsmux/v1/INSTANCE~N/   one that is being made, or is on its way out
//
// A new guard is made whole under a name with "~" and gets its plain name in one step, which gives one that bore it
// before a name with "~". So whatever is killed when, plain names stand for whole guards, and the others are leavings,
// which put() and remove() clear away. v1 is TLSMUX_GUARD_VERSION.

#include <expected>
#include <string>
#include <vector>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {

class GuardPins {
 public:
  GuardPins(std::string bpf_directory, std::string instance);

  // Of the one in force.
  [[nodiscard]] std::string path() const;
  [[nodiscard]] std::string path(const char* name) const { return path() + "/" + name; }

  // By any instance, or leavings of it.
  [[nodiscard]] bool is_anything_pinned() const;
  // Nobody else changes pins in this bpffs while this is open. Waits at most some seconds. Makes the folder; one that
  // another user has made, as may be done where the bpffs is open to all, is refused.
  [[nodiscard]] std::expected<shm::UniqueFd, std::string> lock() const;

  // A new, empty folder for one that is being made.
  [[nodiscard]] std::expected<std::string, std::string> make_folder() const;
  // Gives the guard made there its plain name, and the one in force, if there is one, that folder's.
  [[nodiscard]] std::expected<void, std::string> put_in_force(const std::string& folder) const;
  // Takes the plain name away.
  [[nodiscard]] std::expected<void, std::string> put_out_of_force() const;
  // Takes away all of this instance that is not in force in this version. How many there were.
  [[nodiscard]] std::expected<std::size_t, std::string> clear() const;

  static std::vector<std::string> instances(const std::string& bpf_directory);

 private:
  std::string root_;
  std::string instance_;
};

}  // namespace tlsmux::ports
