// What the log says of clients: lines of ClientRegistry.

#include <utility>

#include "engine/control/client_registry.hpp"

namespace tlsmux::engine::control {

void ClientRegistry::log_attached(Connection& connection) {
  if (!std::exchange(connection.is_unlogged, false)) return;
  const auto& peer = *connection.peer;
  const auto& geometry = connection.memory.geometry;
  log_info(connection, "client_attached",
           {{"client", connection.id},
            {"group", group_name(connection)},
            {"pid", peer.pid},
            {"uid", peer.uid},
            {"program", peer.program},
            {"channels", geometry.channels},
            {"memory_bytes", geometry.total_bytes()}});
}

void ClientRegistry::log_end(Connection& connection, std::string_view event) {
  if (std::exchange(connection.is_end_logged, true)) return;
  log_info(connection, event,
           {{"client", connection.id},
            {"group", group_name(connection)},
            {"pid", connection.peer ? connection.peer->pid : 0}});
}

// With all that tells whom to look for, as the line that says who attached may be left out.
void ClientRegistry::log_detached(Connection& connection, std::string_view rule) {
  connection.is_end_logged = true;
  const auto& group = group_name(connection);
  if (!detachments_.pass(group, rule, Clock::now())) return;
  const auto& peer = *connection.peer;
  log_.warning("client_detached", {{"client", connection.id},
                                   {"group", group},
                                   {"pid", peer.pid},
                                   {"uid", peer.uid},
                                   {"program", peer.program},
                                   {"reason", rule}});
}

void ClientRegistry::log_info(const Connection& connection, std::string_view event, Fields fields) {
  if (detachments_.pass_other(group_name(connection))) log_.info(event, fields);
}

void ClientRegistry::log_left_out(Clock::time_point now) {
  for (const auto& [group, reason, lines] : detachments_.take_left_out(now)) {
    if (reason.empty()) {
      log_.info("client_lines_left_out", {{"group", group}, {"unlogged", lines}});
    } else {
      log_.warning("clients_detached", {{"group", group}, {"reason", reason}, {"unlogged", lines}});
    }
  }
}

void ClientRegistry::log_refusal(const Connection& connection, const Denial& denial) {
  const auto now = Clock::now();
  const auto held_back = connection.peer ? refusals_.pass(connection.peer->uid, now) : refusals_of_unknown_.pass(now);
  if (!held_back) return;
  if (!connection.peer) {
    return log_.warning("connection_refused",
                        {{"errno", denial.error}, {"reason", denial.text}, {"unlogged", *held_back}});
  }
  log_.warning("client_refused", {{"pid", connection.peer->pid},
                                  {"uid", connection.peer->uid},
                                  {"program", connection.peer->program},
                                  {"errno", denial.error},
                                  {"reason", denial.text},
                                  {"unlogged", *held_back}});
}

}  // namespace tlsmux::engine::control
