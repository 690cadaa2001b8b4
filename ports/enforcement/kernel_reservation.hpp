#pragma once

// The groups' ports in net.ipv4.ip_local_reserved_ports of this network namespace: the kernel then gives them to nobody by
// itself (bind to port 0, connect, sendto, listen), while whoever names one may bind it. The list is one for TCP and UDP
// and for everybody on the machine, and a write replaces it: so it is read, changed and written under a lock, and only
// what was added here is ever taken out. What was added stands in a journal, written before the list is, so that
// whatever is killed when, the next one knows.

#include <expected>
#include <string>

#include "ports/book/port_set.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::ports {

class KernelReservation {
 public:
  // `journal` is a file's path; it holds this boot's id and network namespace, and counts for nothing in another.
  explicit KernelReservation(std::string journal) : journal_(std::move(journal)) {}

  // Whether the list can be written here, in words if it cannot.
  [[nodiscard]] static std::expected<void, std::string> probe();

  // From now on these are reserved, and of what was added before nothing else. The list never lacks a port in between
  // that is in both, unless `ports` themselves are more than 4,000 characters of it, which the kernel takes a page at a
  // time. An empty set takes all additions out and removes the journal. Needs root or CAP_NET_ADMIN, and the journal's
  // folder. Waits for others who do the same, for some seconds at the most. EACCES, EROFS: not here. EBADMSG: the
  // journal is none. EAGAIN: somebody keeps replacing the list, and the journal has what may be in it, or has locked it.
  std::expected<void, shm::SystemError> set(const PortSet& ports) const;
  // What was added, by the journal.
  [[nodiscard]] std::expected<PortSet, shm::SystemError> added() const;
  // The whole list, as the kernel has it.
  [[nodiscard]] static std::expected<PortSet, shm::SystemError> reserved();

 private:
  std::string journal_;
};

}  // namespace tlsmux::ports
