// The ports of the fake engine; see fake_engine.hpp.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/group_part.hpp"
#include "shm/port_lease.hpp"
#include "tests/support/fake_engine.hpp"

namespace tlsmux::test {

class FakePorts {
 public:
  explicit FakePorts(FakePortOptions options) : options_(std::move(options)) {}

  // As many rows as write_tables() needs.
  static void add_tables(shm::GroupTables& tables);
  void write_tables(const shm::GroupPart& part) const;

  // 0: granted, -1: no answer; else the errno of the refusal.
  int claim(const shm::ClaimPortRequest& request, shm::PortLeases& leases, shm::ClaimPortReply& reply);
  void release(const shm::ReleasePortRequest& request) { log_.releases.push_back(request); }
  void refill(shm::PortLeases& leases);

  [[nodiscard]] const FakePortLog& log() const { return log_; }

 private:
  void offer(std::span<std::atomic<std::uint64_t>> words);
  std::optional<std::uint16_t> next();

  FakePortOptions options_;
  std::size_t given_ = 0;
  FakePortLog log_;
};

}  // namespace tlsmux::test
