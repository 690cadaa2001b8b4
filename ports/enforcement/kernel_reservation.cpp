#include "ports/enforcement/kernel_reservation.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "ports/enforcement/network_sysctl.hpp"
#include "ports/enforcement/reservation_journal.hpp"
#include "ports/patient_lock.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::ports {
namespace {

constexpr const char* kList = "net/ipv4/ip_local_reserved_ports";

// Whoever can open a file can lock it for ever, and everybody can open the list. This setting of the same namespace is
// open to those only who may change the list too.
constexpr const char* kLock = "net/ipv4/tcp_fastopen_key";

// The kernel parses a page at a time.
constexpr std::size_t kWriteBytesMax = 4000;
constexpr int kTriesMax = 8;

std::expected<shm::UniqueFd, shm::SystemError> lock_list() {
  shm::UniqueFd lock(::open(network_sysctl_path(kLock).c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock) return std::unexpected(shm::last_error("opening " + network_sysctl_word(kLock) + ", for its lock"));
  const int error = lock_patiently(lock.get());
  if (error == 0) return lock;
  errno = error;
  return std::unexpected(shm::last_error("locking " + network_sysctl_word(kLock)));
}

// A write at the beginning replaces the list, one further on is added to it (proc_do_large_bitmap() of the kernel). The
// number of bytes before it is of no importance.
std::expected<void, shm::SystemError> write_list(std::string_view text, bool replaces) {
  const shm::UniqueFd list(::open(network_sysctl_path(kList).c_str(), O_WRONLY | O_CLOEXEC));
  if (!list) return std::unexpected(shm::last_error("opening " + network_sysctl_word(kList)));
  off_t at = replaces ? 0 : 1;
  do {
    auto piece = text.substr(0, kWriteBytesMax);
    if (piece.size() < text.size()) piece = piece.substr(0, piece.rfind(','));
    const auto line = std::string(piece) + "\n";
    if (::pwrite(list.get(), line.data(), line.size(), at) != static_cast<ssize_t>(line.size())) {
      return std::unexpected(shm::last_error("writing " + network_sysctl_word(kList)));
    }
    text.remove_prefix(std::min(piece.size() + 1, text.size()));
    at = 1;
  } while (!text.empty());
  return {};
}

// `own` comes first, so that it is not what is missing while a list of several pages is written.
std::expected<void, shm::SystemError> replace_list(const PortSet& own, PortSet others) {
  others -= own;
  auto text = own.text();
  if (!text.empty() && !others.empty()) text += ',';
  return write_list(text + others.text(), true);
}

// Takes ports out until the list has everything of `wanted` and nothing of `unwanted`: others may replace it without a
// lock at any time.
std::expected<void, shm::SystemError> settle_list(const PortSet& wanted, const PortSet& unwanted) {
  for (int tries = 0; tries < kTriesMax; ++tries) {
    auto list = KernelReservation::reserved();
    if (!list) return std::unexpected(list.error());
    auto missing = wanted;
    missing -= *list;
    auto surplus = unwanted;
    surplus &= *list;
    if (missing.empty() && surplus.empty()) return {};
    if (!missing.empty()) {
      if (const auto written = write_list(missing.text(), false); !written) return written;
    }
    if (!surplus.empty()) {
      *list -= surplus;
      if (const auto written = replace_list(wanted, *list); !written) return written;
    }
  }
  return std::unexpected(shm::SystemError{
      .code = EAGAIN, .message = "somebody else keeps replacing " + network_sysctl_word(kList) + "; try again"});
}

}  // namespace

std::expected<void, std::string> KernelReservation::probe() {
  const shm::UniqueFd list(::open(network_sysctl_path(kList).c_str(), O_WRONLY | O_CLOEXEC));
  if (list) return {};
  const auto error = shm::last_error("opening " + network_sysctl_word(kList) + " to write");
  return std::unexpected(error.message + "; it needs root or CAP_NET_ADMIN, and /proc/sys writable");
}

std::expected<void, shm::SystemError> KernelReservation::set(const PortSet& ports) const {
  const ReservationJournal journal(journal_);
  const auto lock = lock_list();
  if (!lock) return std::unexpected(lock.error());
  const auto before = journal.load();
  if (!before) return std::unexpected(before.error());
  const auto list = reserved();
  if (!list) return std::unexpected(list.error());

  // What is in the list and not in the journal is somebody else's, and stays so.
  auto others = *list;
  others -= *before;
  auto own = ports;
  own -= others;
  auto at_most = own;  // in the list because of us, whenever this ends
  at_most |= *before;
  auto unwanted = *before;
  unwanted -= own;

  if (at_most != *before) {
    if (const auto stored = journal.store(at_most); !stored) return stored;
  }
  if (const auto settled = settle_list(ports, unwanted); !settled) return settled;
  if (own.empty()) return journal.remove();
  if (own != at_most) return journal.store(own);
  return {};
}

std::expected<PortSet, shm::SystemError> KernelReservation::added() const {
  return ReservationJournal(journal_).load();
}

std::expected<PortSet, shm::SystemError> KernelReservation::reserved() {
  const auto text = read_network_sysctl(kList);
  if (!text) return std::unexpected(text.error());
  std::string_view line(*text);
  while (line.ends_with('\n')) line.remove_suffix(1);
  auto ports = PortSet::parse(line);
  if (ports) return *std::move(ports);
  return std::unexpected(
      shm::SystemError{.code = EBADMSG, .message = "reading " + network_sysctl_word(kList) + ": " + ports.error()});
}

}  // namespace tlsmux::ports
