// Trace numbers, as the channel of an application has them.
#include <cerrno>

#include "client/channel.hpp"
#include "client/monotonic_clock.hpp"

namespace tlsmux::client {

// See shm/trace_lease.hpp: of a channel that was not used for long, nobody may have noticed that its engine has died.
void Channel::look_after_trace_numbers() {
  const auto now = now_ns();
  if (now < trace_numbers_until_ns_) return;
  client_->step(now);
  trace_numbers_until_ns_ = now + static_cast<std::int64_t>(shm::kTraceTrustNs);
}

int Channel::next_trace_number(std::uint32_t& number, std::int64_t until_ns) {
  for (bool last = false;;) {
    look_after_trace_numbers();
    if (const int error = ensure_attached(); error == 0) {
      if (current_->take_trace_number(number)) return 0;
      const auto begun = current_->begin_trace_block(number);
      if (!begun) {
        condemn("the engine leased trace numbers that make no sense");
        continue;
      }
      if (*begun) return 0;
      current_->ask_for_trace_numbers();
    } else if (error != -ENOTCONN) {
      return error;
    }
    if (last) return current_ != nullptr ? -ETIMEDOUT : -ENOTCONN;
    awaits_trace_number_ = true;
    sleep_until(until_ns);
    awaits_trace_number_ = false;
    const auto now = now_ns();
    do_what_is_due(now);
    last = now >= until_ns;
  }
}

}  // namespace tlsmux::client
