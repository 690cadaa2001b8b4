#pragma once

// In which bpffs an engine's guard was put, in a file beside the journal of its reservation: for whoever has to take it
// away under a configuration that names another one, or without any.

#include <expected>
#include <string>

#include "shm/system/system_error.hpp"

namespace tlsmux::ports {

class GuardRecord {
 public:
  explicit GuardRecord(std::string path) : path_(std::move(path)) {}

  // Empty: there is no record, or none of this user's that nobody else can write.
  [[nodiscard]] std::string bpf_directory() const;
  // All of it or nothing.
  [[nodiscard]] std::expected<void, shm::SystemError> store(const std::string& bpf_directory) const;
  void remove() const;

 private:
  std::string path_;
};

}  // namespace tlsmux::ports
