#include "client/fork_guard.hpp"

#include <sys/mman.h>

#include "shm/geometry.hpp"

namespace tlsmux::client {

std::expected<std::shared_ptr<const ForkGuard>, shm::SystemError> ForkGuard::create() {
  void* page = ::mmap(nullptr, shm::kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return std::unexpected(shm::last_error("mapping the page that detects a fork"));
  if (::madvise(page, shm::kPageBytes, MADV_WIPEONFORK) != 0) {
    const auto error = shm::last_error("having a page wiped on fork");
    ::munmap(page, shm::kPageBytes);
    return std::unexpected(error);
  }
  auto* flag = static_cast<std::uint32_t*>(page);
  *flag = 1;
  return std::shared_ptr<const ForkGuard>(new ForkGuard(flag));
}

ForkGuard::~ForkGuard() { ::munmap(flag_, shm::kPageBytes); }

}  // namespace tlsmux::client
