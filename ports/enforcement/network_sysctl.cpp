#include "ports/enforcement/network_sysctl.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {
namespace {

// 32,768 lone ports of five digits and a comma fit.
constexpr std::size_t kBytesMax = 256UL * 1024;

}  // namespace

std::expected<std::string, shm::SystemError> read_network_sysctl(const std::string& name) {
  const shm::UniqueFd file(::open(network_sysctl_path(name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::unexpected(shm::last_error("opening " + network_sysctl_word(name)));
  std::string text(kBytesMax, '\0');
  const auto size = ::read(file.get(), text.data(), text.size());
  if (size < 0) return std::unexpected(shm::last_error("reading " + network_sysctl_word(name)));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

std::string network_sysctl_path(const std::string& name) { return "/proc/sys/" + name; }

std::string network_sysctl_word(const std::string& name) {
  std::string word = name;
  std::ranges::replace(word, '/', '.');
  return word;
}

}  // namespace tlsmux::ports
