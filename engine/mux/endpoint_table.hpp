#pragma once

// The endpoints of one upstream: which of them are fit for use, and which one the next session goes to.
//
// An endpoint that fails is out for a while that doubles with each failure; then one session tries it. Of those that
// are not out, the ones with the lowest priority number are used, in proportion to their weights (as in RFC 2782, but
// counted, not drawn by lot).

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "shm/outcome.hpp"

namespace tlsmux::engine::mux {

struct Endpoint {
  config::EndpointSettings settings;
  std::uint64_t retry_ns = 0;    // out until then, and then to be tried by one session; 0: not out
  bool failed = false;           // since a session of the upstream last came up
  std::uint32_t fruitless = 0;   // attempts and sessions in a row that brought no message; the pause doubles with each
  std::uint64_t counted_ns = 0;  // when the last of these was counted
  shm::Reason last_error_reason = shm::Reason::none;
  bool is_removed = false;  // from the configuration; here only as long as sessions refer to it

  [[nodiscard]] bool is_out() const { return retry_ns != 0; }
};

// What the sessions make of an endpoint at the moment.
struct EndpointLoad {
  std::uint32_t sessions = 0;  // up, or on their way
  bool is_tried = false;       // one is on its way
};

class EndpointTable {
 public:
  explicit EndpointTable(const config::UpstreamSettings& settings);

  [[nodiscard]] std::size_t size() const { return endpoints_.size(); }
  const Endpoint& operator[](std::size_t index) const { return endpoints_[index]; }

  // For a session that is to start: the best that is not out; else, of those whose pause is over and that nobody tries
  // already, the best. Nothing: there is none just now.
  [[nodiscard]] std::optional<std::uint32_t> for_session(std::uint64_t now_ns,
                                                         std::span<const EndpointLoad> loads) const;

  // Where a session would be better placed than at `from`, because of priorities or weights.
  [[nodiscard]] std::optional<std::uint32_t> better_than(std::uint32_t from, std::uint64_t now_ns,
                                                         std::span<const EndpointLoad> loads) const;

  // The next time that one is to be tried again; 0: there is none.
  [[nodiscard]] std::uint64_t next_retry_ns(std::uint64_t now_ns) const;
  // How long from now until a session may start; 0: at once.
  [[nodiscard]] std::uint64_t wait_ns(std::uint64_t now_ns) const;
  [[nodiscard]] bool all_have_failed() const;

  // A session to it is up.
  void came_up(std::uint32_t index);
  // A session to it brought a message, or lasted.
  void was_of_use(std::uint32_t index) { endpoints_[index].fruitless = 0; }
  // An attempt that began at `started_ns` came to nothing: out for a while. Several that fail together count once. Returns the
  // pause after so many.
  std::uint64_t fail(std::uint32_t index, std::uint64_t started_ns, std::uint64_t now_ns, shm::Reason reason,
                     std::mt19937_64& random);
  // A session came up and ended without a message. Returns the pause until the next.
  std::uint64_t disappoint(std::uint32_t index, std::uint64_t started_ns, std::uint64_t now_ns, bool is_out,
                           shm::Reason reason, std::mt19937_64& random);
  // After a session that was of use.
  [[nodiscard]] std::uint64_t first_pause_ns(std::mt19937_64& random) const { return pause_ns(0, random); }

  // Changes over to other settings. What is known of endpoints that stay is kept; those of `used` (by index) that go stay
  // as removed ones. Returns where each of the earlier ones is now, kGone where it is not.
  std::vector<std::uint32_t> change(const config::UpstreamSettings& settings, const std::vector<bool>& used);
  static constexpr std::uint32_t kGone = ~0U;

  // Somebody has ordered a new beginning.
  void forget_failures();

 private:
  [[nodiscard]] bool may_be_tried(std::size_t index, std::uint64_t now_ns, std::span<const EndpointLoad> loads) const;
  [[nodiscard]] bool is_better(std::size_t one, std::size_t other, std::span<const EndpointLoad> loads) const;
  void count(Endpoint& endpoint, std::uint64_t started_ns, std::uint64_t now_ns, shm::Reason reason);
  [[nodiscard]] std::uint64_t pause_ns(std::uint32_t fruitless, std::mt19937_64& random) const;

  config::BackoffSettings backoff_;
  std::vector<Endpoint> endpoints_;
};

}  // namespace tlsmux::engine::mux
