#include "shm/system/machine_boot.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::shm {

std::expected<std::string, SystemError> machine_boot_id() {
  constexpr const char* kPath = "/proc/sys/kernel/random/boot_id";
  const UniqueFd file(::open(kPath, O_RDONLY | O_CLOEXEC));
  if (!file) return std::unexpected(last_error(std::string("opening ") + kPath));
  std::array<char, 64> text{};
  const auto size = ::read(file.get(), text.data(), text.size());
  if (size <= 0) return std::unexpected(last_error(std::string("reading ") + kPath));
  std::string id(text.data(), static_cast<std::size_t>(size));
  if (id.ends_with('\n')) id.pop_back();
  return id;
}

}  // namespace tlsmux::shm
