#pragma once

// What the engine gives one connection to send, byte by byte, and how much of it the kernel has accepted. Tells the
// ledger which requests have left. It knows what lies in a record before all of it is accepted (wire_reader.hpp).

#include <cstdint>
#include <span>
#include <vector>

#include "engine/message/framing.hpp"
#include "tests/simulation/context.hpp"
#include "tests/simulation/wire_reader.hpp"

namespace tlsmux::simulation {

class WireLog {
 public:
  WireLog(Context& context, std::uint32_t upstream, std::uint64_t connection);

  // All that is sealed and not accepted. Throws Violation when bytes that were offered before have changed.
  void offered(std::span<const std::byte> pending);
  // The kernel has accepted so many of what was offered.
  void accepted(std::size_t count);

 private:
  struct Placed {
    std::uint64_t request = 0;
    LeaseLedger::Part part;          // where sessions are leased
    std::uint64_t first_record = 0;  // position of the first record that holds a byte of it
  };

  void read_leased(std::uint64_t record, std::span<const std::byte> content);
  void read_record(std::uint64_t record, std::span<const std::byte> content);
  void read_message(std::span<const std::byte> message, std::uint64_t first_record);

  Context& context_;
  std::uint32_t upstream_;
  std::uint64_t connection_;
  bool is_leased_;
  bool in_order_;
  engine::message::Framing framing_;
  WireReader reader_;
  std::vector<std::byte> stream_;  // all that was ever offered
  std::uint64_t accepted_ = 0;
  std::size_t read_ = 0;          // of stream_, up to the end of a record
  std::vector<std::byte> frame_;  // the beginning of a message that is not complete
  std::uint64_t frame_record_ = 0;
  std::vector<Placed> placed_;
  std::size_t started_ = 0;  // of placed_
};

}  // namespace tlsmux::simulation
