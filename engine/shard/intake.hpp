#pragma once

// The trust boundary: takes descriptors off a client's request rings, copies each once, checks the copy, and hands on
// only what keeps to the rules.

#include <cstdint>
#include <expected>
#include <string_view>

#include "engine/mux/multiplexer.hpp"
#include "engine/shard/client_table.hpp"
#include "engine/shard/notices.hpp"
#include "engine/shard/trace_numbers.hpp"

namespace tlsmux::engine {

class Intake {
 public:
  // All outlive it.
  Intake(const config::Config& config, mux::Multiplexer& multiplexer, Notices& notices, TraceNumbers& trace_numbers)
      : config_(&config), multiplexer_(&multiplexer), notices_(&notices), trace_numbers_(&trace_numbers) {}

  static constexpr std::uint32_t kRequestsPerTakeMax = 256;  // of one channel: nobody starves

  // Takes what the client has published, a bounded number of requests for each channel. True when there was anything;
  // the error is the rule that the client broke.
  std::expected<bool, std::string_view> take(Client& client);

  // True when the client has published something that take() has not seen.
  static bool has_more(const Client& client);

 private:
  std::expected<bool, std::string_view> take_channel(Client& client, std::uint32_t number);
  std::string_view broken_rule(const Channel& channel, const shm::RequestDescriptor& descriptor) const;
  [[nodiscard]] std::string_view broken_rule_of_message(const Channel& channel,
                                                        const shm::RequestDescriptor& descriptor) const;
  void accept(Client& client, std::uint32_t number, const shm::RequestDescriptor& descriptor);
  void submit(Client& client, std::uint32_t number, const shm::RequestDescriptor& descriptor);
  mux::RequestIndex submit_reply(const Client& client, const Channel& channel, const mux::Caller& caller,
                                 const shm::RequestDescriptor& descriptor);

  const config::Config* config_;
  mux::Multiplexer* multiplexer_;
  Notices* notices_;
  TraceNumbers* trace_numbers_;
};

}  // namespace tlsmux::engine
