#include "ports/guard_record.hpp"

#include <unistd.h>

#include <climits>

#include "shm/system/private_file.hpp"

namespace tlsmux::ports {

std::string GuardRecord::bpf_directory() const {
  const auto text = shm::read_private_file(path_, PATH_MAX);
  return text ? text->value_or(std::string()) : std::string();
}

std::expected<void, shm::SystemError> GuardRecord::store(const std::string& bpf_directory) const {
  return shm::replace_file(path_, bpf_directory);
}

void GuardRecord::remove() const {
  ::unlink((path_ + ".new").c_str());
  ::unlink(path_.c_str());
}

}  // namespace tlsmux::ports
