#pragma once

// What was added to the kernel's list of reserved ports, in a file. It is bound to this boot and to the network namespace
// of the calling thread, and counts for nothing in another: the list began empty there.

#include <expected>
#include <string>

#include "ports/book/port_set.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::ports {

class ReservationJournal {
 public:
  explicit ReservationJournal(std::string path) : path_(std::move(path)) {}

  // Empty where there is no file, or one of another boot or namespace. EBADMSG: what is there is no journal.
  [[nodiscard]] std::expected<PortSet, shm::SystemError> load() const;
  // On the disk, whole, when it returns; on any failure what was there before still is. Its folder must exist.
  [[nodiscard]] std::expected<void, shm::SystemError> store(const PortSet& ports) const;
  // Removed or not there.
  [[nodiscard]] std::expected<void, shm::SystemError> remove() const;

 private:
  std::string path_;
};

}  // namespace tlsmux::ports
