#include "engine/ports/port_group.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/ports/port_rows.hpp"
#include "shm/control_protocol.hpp"

namespace tlsmux::engine {
namespace {

void log_level(Log& log, const std::string& group, std::string_view level, const broker::PortLevel& now,
               const broker::PortLevel& before) {
  if (now.state == before.state && now.text == before.text) return;
  if (now.state == shm::PortEnforcement::missing) {
    log.warning("port_enforcement_missing", {{"group", group}, {"level", level}, {"why", now.text}});
  } else {
    log.info("port_enforcement",
             {{"group", group}, {"level", level}, {"state", now.state == shm::PortEnforcement::on ? "on" : "off"}});
  }
}

}  // namespace

PortGroup::PortGroup(const config::GroupSettings& settings, Parts parts, Log& log)
    : name_(settings.name),
      settings_(config::settings_tree(settings)),
      membership_(std::move(parts.membership)),
      memory_(std::move(parts.memory)),
      log_(log),
      book_(ports::make_plan(settings)),
      tables_(parts.part, parts.wall_offset_s) {
  has_ports_ = port_rows_needed(settings).ports != 0;
  tables_.write_rules(settings, membership_);
  write_summary();
}

void PortGroup::change(const config::GroupSettings& settings, config::Membership membership, std::uint64_t now_ns) {
  membership_ = std::move(membership);
  has_ports_ = port_rows_needed(settings).ports != 0;
  tables_.write_rules(settings, membership_);
  auto tree = config::settings_tree(settings);
  if (std::exchange(settings_, tree) == tree) return;
  has_ports_ = port_rows_needed(settings).ports != 0;
  book_.replan(ports::make_plan(settings), now_ns);
  publish(now_ns);
}

void PortGroup::set_enforcement(broker::PortLevels enforcement) {
  const auto before = std::exchange(enforcement_, std::move(enforcement));
  log_level(log_, name_, "reservation", enforcement_.reservation, before.reservation);
  log_level(log_, name_, "holders", enforcement_.holders, before.holders);
  log_level(log_, name_, "guard", enforcement_.guard, before.guard);
  write_summary();
}

bool PortGroup::is_holder(std::uint64_t socket_inode) const {
  return socket_inode != 0 && std::ranges::binary_search(enforcement_.holder_sockets, socket_inode);
}

std::vector<const ports::PortEntry*> PortGroup::entries() const {
  std::vector<const ports::PortEntry*> all;
  for (const auto protocol : ports::kProtocols) {
    for (const auto range : held(protocol).ranges()) {
      for (std::uint32_t number = range.from; number <= range.to; ++number) {
        const auto* const entry = book_.find({protocol, static_cast<std::uint16_t>(number)});
        if (entry != nullptr) all.push_back(entry);
      }
    }
  }
  return all;
}

void PortGroup::deny(const ports::GuardEvent& event, std::uint64_t now_ns) {
  tables_.add_denial(event);
  const auto unlogged = denials_throttle_.pass(control::Throttle::Clock::time_point{std::chrono::nanoseconds(now_ns)});
  if (!unlogged) return;
  log_.warning("port_bind_denied", {{"group", name_},
                                    {"port", event.port.number},
                                    {"protocol", ports::name(event.port.protocol)},
                                    {"pid", event.pid},
                                    {"uid", event.uid},
                                    {"gid", event.gid},
                                    {"program", event.program},
                                    {"unlogged", *unlogged}});
}

void PortGroup::publish(std::uint64_t now_ns) {
  due_ns_ = book_.expire(now_ns);
  for (const auto port : book_.take_changes()) {
    const auto* const entry = book_.find(port);
    auto& held = held_[index_of(port.protocol)];
    if (entry != nullptr) {
      held.add(port.number);
      tables_.write_port(*entry, name_);
    } else {
      held.remove(port.number);
      const auto label = book_.remembered_label(port);
      if (label.empty()) {
        tables_.clear_port(port);
      } else {
        tables_.write_label(port, label, name_);
      }
    }
    if (entry == nullptr || entry->state != shm::PortState::external) {
      external_.erase(port);
    } else if (external_[port].socket_inode != entry->socket_inode) {
      external_[port] = {.socket_inode = entry->socket_inode, .is_logged = false};
    }
  }
  const bool is_full = !tables_.has_room();
  if (is_full && !is_full_logged_) {
    log_.error("port_table_full", {{"group", name_}, {"means", "no more ports are given out, and some are not shown"}});
  }
  is_full_logged_ = is_full;
  write_summary();
}

void PortGroup::log_external() {
  for (auto& [port, external] : external_) {
    const auto* const entry = book_.find(port);
    if (std::exchange(external.is_logged, true) || entry == nullptr) continue;
    log_.warning("port_held_by_stranger", {{"group", name_},
                                           {"port", port.number},
                                           {"protocol", ports::name(port.protocol)},
                                           {"pid", entry->owner.pid},
                                           {"uid", entry->owner.uid},
                                           {"program", entry->owner.program},
                                           {"socket_inode", entry->socket_inode},
                                           {"means", "it is not given out while that socket is there"}});
  }
}

void PortGroup::write_summary() {
  shm::PortSummaryRow row{};
  row.in_use = 1;
  for (const auto protocol : ports::kProtocols) {
    row.dynamic_ports[index_of(protocol)] =
        static_cast<std::uint32_t>(book_.plan().dynamic[index_of(protocol)].count());
    row.dynamic_free[index_of(protocol)] = book_.free_count(protocol);
  }
  row.claims = book_.claims();
  row.claims_refused = book_.claims_refused();
  row.denials = tables_.denials();
  row.denials_lost = denials_lost_;
  row.reservation = enforcement_.reservation.state;
  row.holders = enforcement_.holders.state;
  row.guard = enforcement_.guard.state;
  row.holder_sockets = static_cast<std::uint32_t>(enforcement_.holder_sockets.size());
  shm::set_text(row.reservation_text, enforcement_.reservation.text);
  shm::set_text(row.holders_text, enforcement_.holders.text);
  shm::set_text(row.guard_text, enforcement_.guard.text);
  tables_.write_summary(row);
}

}  // namespace tlsmux::engine
