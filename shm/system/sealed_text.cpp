#include "shm/system/sealed_text.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace tlsmux::shm {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

}  // namespace

std::expected<UniqueFd, SystemError> make_sealed_text(std::string_view text) {
  UniqueFd fd(::memfd_create("tlsmux-text", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return std::unexpected(last_error("making a memfd"));
  while (!text.empty()) {
    const auto written = ::write(fd.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return std::unexpected(last_error("writing a memfd"));
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return std::unexpected(last_error("sealing a memfd"));
  return fd;
}

std::expected<std::string, SystemError> read_sealed_text(int fd, std::size_t bytes_max) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return std::unexpected(SystemError{.code = EPERM, .message = "the text that was handed over is not sealed"});
  }
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(last_error("asking the size of a text"));
  if (static_cast<std::uint64_t>(status.st_size) > bytes_max) {
    return std::unexpected(SystemError{.code = EFBIG, .message = "the text that was handed over is too long"});
  }
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t at = 0; at < text.size();) {
    const auto got = ::pread(fd, text.data() + at, text.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::unexpected(last_error("reading a text"));
    at += static_cast<std::size_t>(got);
  }
  return text;
}

}  // namespace tlsmux::shm
