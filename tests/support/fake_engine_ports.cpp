#include "tests/support/fake_engine_ports.hpp"

#include <cerrno>

#include "shm/row.hpp"

namespace tlsmux::test {

void FakePorts::add_tables(shm::GroupTables& tables) {
  tables.port_rules = 3;
  tables.ports = 2;
  tables.port_summaries = 1;
}

void FakePorts::write_tables(const shm::GroupPart& part) const {
  shm::PortConfigurationRow rule{};
  rule.kind = shm::PortRuleKind::static_port;
  rule.from = rule.to = options_.static_port;
  rule.protocols = shm::kPortTcp;
  shm::set_text(rule.label, "admin");
  shm::write_row(part.port_rules()[1], rule);
  shm::PortConfigurationRow range{};
  range.kind = shm::PortRuleKind::dynamic_range;
  range.protocols = shm::kPortTcp;
  if (!options_.dynamic.empty()) shm::write_row(part.port_rules()[2], range);

  shm::PortRow port{};
  port.state = shm::PortState::quarantine;
  port.protocol = shm::kPortUdp;
  port.port = 1;
  shm::set_text(port.label, "journal");
  shm::write_row(part.ports()[0], port);
  port.state = shm::PortState::bound;
  port.port = 4711;
  shm::write_row(part.ports()[1], port);

  shm::PortSummaryRow summary{};
  summary.in_use = 1;
  summary.holders = options_.has_holders ? shm::PortEnforcement::missing : shm::PortEnforcement::off;
  summary.holder_sockets = options_.has_holders ? 2 : 0;
  shm::write_row(part.port_summaries()[0], summary);
}

std::optional<std::uint16_t> FakePorts::next() {
  if (given_ == options_.dynamic.size()) return std::nullopt;
  return options_.dynamic[given_++];
}

int FakePorts::claim(const shm::ClaimPortRequest& request, shm::PortLeases& leases, shm::ClaimPortReply& reply) {
  log_.claims.push_back(request);
  const auto label = shm::text_of(request.label);
  reply.share_port = options_.has_holders ? 1 : 0;
  if (label == "silent") return -1;
  if (label == "forbidden") return EACCES;
  if (label == "nonsense") return 0;
  switch (request.kind) {
    case shm::PortClaimKind::dynamic: break;
    case shm::PortClaimKind::labelled:
      reply.port = options_.static_port;
      return label.empty() || label == "admin" ? 0 : ENOENT;
    case shm::PortClaimKind::number:
      reply.port = request.port;
      return request.port == options_.static_port ? 0 : request.port == options_.foreign_port ? EACCES : ENOENT;
  }
  const auto port = next();
  if (!port) return EADDRINUSE;
  reply.port = *port;
  if (request.leases != 0) offer(request.protocol == shm::kPortTcp ? leases.tcp : leases.udp);
  return 0;
}

void FakePorts::refill(shm::PortLeases& leases) {
  ++log_.refills;
  offer(leases.tcp);
}

void FakePorts::offer(std::span<std::atomic<std::uint64_t>> words) {
  for (auto& word : words.first(options_.leases)) {
    auto lease = shm::unpack_lease(word.load());
    if (lease.state == shm::LeaseState::offered) continue;
    const auto port = next();
    lease = {.generation = lease.generation + 1,
             .port = port.value_or(0),
             .state = port ? shm::LeaseState::offered : shm::LeaseState::empty};
    word.store(shm::pack(lease));
  }
}

}  // namespace tlsmux::test
