#include "engine/confinement/confinement.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "engine/confinement/breach.hpp"
#include "engine/confinement/call_filter.hpp"
#include "engine/confinement/file_rules.hpp"

namespace tlsmux::engine::confinement {
namespace {

#if defined(TLSMUX_COUNTS_COVERAGE) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsInstrumented = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kIsInstrumented = true;
#else
constexpr bool kIsInstrumented = false;
#endif
#else
constexpr bool kIsInstrumented = false;
#endif

// By kind. Never destroyed: threads may still start while the process exits.
using Filters = std::array<std::optional<CallFilter>, kThreadKinds.size()>;
std::atomic<const Filters*> filters_in_force = nullptr;

std::expected<std::unique_ptr<Filters>, shm::SystemError> make_filters() {
  auto filters = std::make_unique<Filters>();
  for (const auto kind : kThreadKinds) {
    auto filter = CallFilter::make(call_rules(kind));
    if (!filter) return std::unexpected(filter.error());
    (*filters)[static_cast<std::size_t>(kind)] = std::move(*filter);
  }
  return filters;
}

std::expected<void, shm::SystemError> forbid_core_dumps() {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) {
    return std::unexpected(shm::last_error("switching off core dumps of the engine"));
  }
  return {};
}

std::expected<void, shm::SystemError> check_filters() {
  if (kernel_filters_calls()) return {};
  auto error = shm::last_error("asking the kernel for filters of system calls");
  error.message +=
      " (the kernel needs CONFIG_SECCOMP_FILTER, and a container has to allow seccomp; or do without, by"
      " \"confinement\": \"off\" in /engine of the configuration)";
  return std::unexpected(std::move(error));
}

std::string why_no_file_rules(int error) {
  const std::string what = "files are not restricted: ";
  if (error == EPERM || error == EACCES) {
    return what + "Landlock is forbidden here; the container has to allow its landlock_ system calls";
  }
  return what + "the kernel has no Landlock, or lacks it in lsm= at boot";
}

}  // namespace

bool is_instrumented() { return kIsInstrumented; }

std::expected<Confinement, shm::SystemError> confine_process(int log_output, config::Confinement wanted) {
  if (kIsInstrumented) {
    return Confinement{.missing = "a build with a sanitizer, or that counts coverage, is not confined"};
  }
  Confinement confinement;
  if (auto forbidden = forbid_core_dumps(); !forbidden) return std::unexpected(forbidden.error());
  if (wanted == config::Confinement::off) {
    confinement.missing = "system calls and files are not restricted: /engine/confinement is off";
    return confinement;
  }
  // The time zone's file is read now: data loops may open none.
  ::tzset();
  if (auto checked = check_filters(); !checked) return std::unexpected(checked.error());
  const int output_for_breaches = ::fcntl(log_output, F_DUPFD_CLOEXEC, 3);  // open as long as the process lives
  if (output_for_breaches < 0) return std::unexpected(shm::last_error("keeping the log for breaches"));
  if (auto watched = watch_for_breaches(output_for_breaches); !watched) return std::unexpected(watched.error());
  name_this_thread(name(ThreadKind::control));
  auto filters = make_filters();
  if (!filters) return std::unexpected(filters.error());
  if (kernel_landlock_version() == 0) {
    confinement.missing = why_no_file_rules(errno);
  } else if (auto version = restrict_files(); version) {
    confinement.landlock_version = *version;
  } else {
    return std::unexpected(version.error());
  }
  filters_in_force = filters->release();
  confinement.calls_filtered = true;
  return confinement;
}

std::expected<void, shm::SystemError> confine_broker(int log_output) {
  if (kIsInstrumented) return {};
  if (auto checked = check_filters(); !checked) return checked;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return std::unexpected(shm::last_error("forbidding the broker new privileges"));
  }
  auto filter = CallFilter::make(broker_call_rules());
  if (!filter) return std::unexpected(filter.error());
  if (auto watched = watch_for_breaches(log_output); !watched) return watched;
  name_this_thread("broker");
  return filter->enter();
}

void enter_thread(ThreadKind kind, std::string_view thread) {
  const auto* const filters = filters_in_force.load();
  if (filters == nullptr) return;
  name_this_thread(thread.empty() ? name(kind) : thread);
  if (auto entered = (*filters)[static_cast<std::size_t>(kind)]->enter(); !entered) {
    abort_unconfined(entered.error().code);
  }
}

}  // namespace tlsmux::engine::confinement
