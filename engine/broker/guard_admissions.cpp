#include "engine/broker/guard_admissions.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <tuple>

#include "ports/diagnosis/process_identity.hpp"
#include "shm/system/pidfd.hpp"

namespace tlsmux::engine::broker {
namespace {

std::unexpected<shm::SystemError> refused(int code, std::string message) {
  return std::unexpected(shm::SystemError{.code = code, .message = std::move(message)});
}

}  // namespace

GuardAdmissions::GuardAdmissions() : poll_(::epoll_create1(EPOLL_CLOEXEC)) {}

void GuardAdmissions::set_rules(std::map<std::string, Rule> rules, ports::Guard* guard) {
  rules_ = std::move(rules);
  if (guard == nullptr) return admitted_.clear();
  for (auto at = admitted_.begin(); at != admitted_.end();) {
    const auto& [group, pid] = at->first;
    const auto rule = rules_.find(group);
    const auto process = ports::identify_process(pid);
    const bool stays = rule != rules_.end() && process && !shm::is_dead(at->second.get()) &&
                       rule->second.members.is_member(process->uid, process->gids) &&
                       guard->admit(group, pid).has_value();
    at = stays ? std::next(at) : dismiss(at, *guard);
  }
}

std::expected<void, shm::SystemError> GuardAdmissions::admit(const std::string& group, pid_t pid, ports::Guard& guard) {
  const auto rule = rules_.find(group);
  if (rule == rules_.end()) return refused(ENOENT, "group " + group + " has no guard");
  auto process = ports::identify_process(pid);
  if (!process) return std::unexpected(process.error());
  if (!rule->second.members.is_member(process->uid, process->gids)) {
    return refused(EACCES, "process " + std::to_string(pid) + " is no member of group " + group);
  }
  dismiss_dead(guard);
  const Key key(group, pid);
  if (admitted_.contains(key)) return guard.admit(group, pid);
  if (count_of(group) >= rule->second.processes_max) {
    return refused(EAGAIN, "as many processes of group " + group + " are admitted as it may have clients");
  }
  epoll_event event{.events = EPOLLIN, .data = {}};
  if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, process->pidfd.get(), &event) != 0) {
    return std::unexpected(shm::last_error("watching process " + std::to_string(pid)));
  }
  if (auto admitted = guard.admit(group, pid); !admitted) return admitted;
  // It was alive after this, so that no later process with its number was let in.
  const auto [at, is_new] = admitted_.emplace(key, std::move(process->pidfd));
  if (!shm::is_dead(at->second.get())) return {};
  dismiss(at, guard);
  return refused(ESRCH, "process " + std::to_string(pid) + " has ended");
}

void GuardAdmissions::dismiss(const std::string& group, pid_t pid, ports::Guard& guard) {
  if (const auto at = admitted_.find({group, pid}); at != admitted_.end()) dismiss(at, guard);
}

void GuardAdmissions::admit_again(ports::Guard* guard) {
  if (guard == nullptr) return admitted_.clear();
  for (auto at = admitted_.begin(); at != admitted_.end();) {
    const bool is_admitted = guard->admit(at->first.first, at->first.second).has_value();
    at = is_admitted ? std::next(at) : dismiss(at, *guard);
  }
  dismiss_dead(*guard);
}

void GuardAdmissions::dismiss_dead(ports::Guard& guard) {
  for (auto at = admitted_.begin(); at != admitted_.end();) {
    at = shm::is_dead(at->second.get()) ? dismiss(at, guard) : std::next(at);
  }
}

GuardAdmissions::Admitted::iterator GuardAdmissions::dismiss(Admitted::iterator admitted, ports::Guard& guard) {
  guard.dismiss(admitted->first.first, admitted->first.second);
  // Closing is what ends the watch, since nobody else has this descriptor.
  return admitted_.erase(admitted);
}

std::size_t GuardAdmissions::count_of(const std::string& group) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(admitted_, [&](const auto& entry) { return entry.first.first == group; }));
}

}  // namespace tlsmux::engine::broker
