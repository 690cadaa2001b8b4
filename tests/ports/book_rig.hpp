#pragma once

// A book of a small group, and what tests of it say over and over.

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "ports/book/port_book.hpp"

namespace tlsmux::test {

inline constexpr std::uint64_t kRigDelayNs = 1'000;

inline ports::Port tcp(std::uint16_t number) { return {ports::Protocol::tcp, number}; }

// 1000 to 1007 of TCP are dynamic; 443 is static "HTTPS", 80 is static "HTTP" for the program "web".
inline ports::PortPlan rig_plan() {
  ports::PortPlan plan;
  plan.service = "RIG";
  plan.dynamic[0].add(ports::PortRange{1000, 1007});
  plan.static_ports = {{tcp(443), "HTTPS", ""}, {tcp(80), "HTTP", "web"}};
  plan.reuse_delay_ns = kRigDelayNs;
  plan.leases_per_process = 8;
  return plan;
}

inline ports::PortOwner process(std::uint32_t number) {
  return {.pid = number, .uid = 500, .client_id = number, .pidfd_inode = 10'000 + number, .program = "till"};
}

struct BookRig {
  explicit BookRig(ports::PortPlan plan = rig_plan()) : book(std::move(plan)) {}

  std::expected<std::uint16_t, ports::ClaimRefusal> dynamic(std::uint32_t owner, std::string_view label = {}) {
    return book.claim(
        {.kind = shm::PortClaimKind::dynamic, .protocol = {}, .number = 0, .label = label, .owner = process(owner)},
        now_ns);
  }
  std::expected<std::uint16_t, ports::ClaimRefusal> number(std::uint32_t owner, std::uint16_t port) {
    return book.claim(
        {.kind = shm::PortClaimKind::number, .protocol = {}, .number = port, .label = {}, .owner = process(owner)},
        now_ns);
  }
  std::expected<std::uint16_t, ports::ClaimRefusal> fixed(const ports::PortOwner& owner, std::string_view label) {
    return book.claim(
        {.kind = shm::PortClaimKind::labelled, .protocol = {}, .number = 0, .label = label, .owner = owner}, now_ns);
  }
  // The kernel knows these sockets, and no others.
  void sweep(std::initializer_list<ports::HeldPort> held = {}) {
    book.begin_sweep();
    book.finish_sweep(std::vector(held), now_ns);
  }
  static ports::HeldPort socket(std::uint16_t port, std::uint64_t inode, std::uint32_t uid = 500) {
    return {.port = tcp(port), .socket_inode = inode, .uid = uid};
  }
  [[nodiscard]] shm::PortState state(std::uint16_t port) const {
    const auto* const entry = book.find(tcp(port));
    return entry == nullptr ? shm::PortState::free : entry->state;
  }
  [[nodiscard]] std::uint32_t owner_of(std::uint16_t port) const { return book.find(tcp(port))->owner.pid; }
  void pass(std::uint64_t ns) {
    now_ns += ns;
    static_cast<void>(book.expire(now_ns));
  }

  std::uint64_t now_ns = 1'000'000;
  ports::PortBook book;
};

}  // namespace tlsmux::test
