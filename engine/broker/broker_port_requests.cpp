// What an engine asks of its broker about ports.

#include <fcntl.h>

#include <sys/types.h>
#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "engine/broker/broker_requests.hpp"
#include "shm/system/sealed_text.hpp"

namespace tlsmux::engine::broker {
namespace {

PortLevelRecord record_of(const PortLevel& level) {
  PortLevelRecord record{.state = level.state, .text = {}};
  shm::set_text(record.text, level.text);
  return record;
}

SocketOwnerRecord record_of(const ports::SocketOwner& owner) {
  SocketOwnerRecord record{.socket_inode = owner.socket_inode,
                           .pidfd_inode = owner.pidfd_inode,
                           .pid = owner.pid,
                           .uid = owner.uid,
                           .program = {}};
  shm::set_text(record.program, owner.program);
  return record;
}

std::string_view bytes_of(const auto& value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }

bool is_possible(std::uint32_t pid) { return pid != 0 && pid <= std::uint32_t{std::numeric_limits<pid_t>::max()}; }

Answer no_ports(const Request& request) { return failure(request, ENOENT, "this broker looks after no ports"); }

Answer answer_to(const Request& request, const std::expected<void, shm::SystemError>& done) {
  return done ? success(request) : failure(request, done.error());
}

}  // namespace

Answer BrokerRequests::open_predecessor(const Request& request) {
  const auto* group = find_group(request);
  // Of the candidate's, only those are locked that it adds; the others are the present configuration's.
  const bool is_locked =
      request.candidate == 0 || (scope_.candidate != nullptr && scope_.candidate->added(request.index) != nullptr);
  if (group == nullptr || !is_locked) return malformed_answer(request);
  const int found = scope_.predecessors != nullptr ? scope_.predecessors->find(group->name) : -1;
  if (found < 0) return failure(request, ENOENT, "no engine before this one has left tables of group " + group->name);
  shm::UniqueFd copy(::fcntl(found, F_DUPFD_CLOEXEC, 3));
  if (!copy) return failure(request, shm::last_error("handing over tables of group " + group->name));
  return success(request, std::move(copy));
}

Answer BrokerRequests::find_socket_owners(const Request& request) {
  const auto end = std::ranges::find(request.sockets, 0U);
  const std::span asked(request.sockets.begin(), end);
  if (asked.empty() || std::any_of(end, request.sockets.end(), [](auto inode) { return inode != 0; })) {
    return malformed_answer(request);
  }
  if (scope_.ports == nullptr) return no_ports(request);
  const auto owners = scope_.ports->find_owners(asked);
  if (!owners) return failure(request, owners.error());
  auto answer = success(request);
  for (const auto& owner : *owners) {
    if (answer.reply.owner_count == kSocketOwnersMax) break;
    answer.reply.owners[answer.reply.owner_count++] = record_of(owner);
  }
  return answer;
}

Answer BrokerRequests::port_enforcement(const Request& request) {
  const auto* group = find_group(request);
  if (group == nullptr) return malformed_answer(request);
  if (scope_.ports == nullptr) return no_ports(request);
  const auto levels = scope_.ports->levels_of(*group);
  const PortLevelsRecord record{.reservation = record_of(levels.reservation),
                                .holders = record_of(levels.holders),
                                .guard = record_of(levels.guard),
                                .holder_count = static_cast<std::uint32_t>(levels.holder_sockets.size())};
  std::string bytes(bytes_of(record));
  for (const auto inode : levels.holder_sockets) bytes += bytes_of(inode);
  auto text = shm::make_sealed_text(bytes);
  return text ? success(request, std::move(*text)) : failure(request, text.error());
}

Answer BrokerRequests::open_guard_events(const Request& request) {
  if (scope_.ports == nullptr) return no_ports(request);
  auto descriptors = scope_.ports->guard_events();
  return descriptors ? success(request, std::move(*descriptors)) : failure(request, descriptors.error());
}

Answer BrokerRequests::admit_to_guard(const Request& request) {
  const auto* group = find_group(request);
  if (group == nullptr || !is_possible(request.pid)) return malformed_answer(request);
  return scope_.ports != nullptr ? answer_to(request, scope_.ports->admit(group->name, request.pid))
                                 : no_ports(request);
}

Answer BrokerRequests::dismiss_from_guard(const Request& request) {
  const auto* group = find_group(request);
  if (group == nullptr || !is_possible(request.pid)) return malformed_answer(request);
  return scope_.ports != nullptr ? answer_to(request, scope_.ports->dismiss(group->name, request.pid))
                                 : no_ports(request);
}

Answer BrokerRequests::watch_port_enforcement(const Request& request) {
  if (scope_.ports == nullptr) return no_ports(request);
  auto changes = scope_.ports->changes();
  return changes ? success(request, std::move(*changes)) : failure(request, changes.error());
}

}  // namespace tlsmux::engine::broker
