#pragma once

// The threads that look names up and do handshakes: jobs take as long as they like and come back in any order.

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "engine/mux/multiplexer.hpp"
#include "tests/simulation/context.hpp"

namespace tlsmux::simulation {

class Workers final : public engine::mux::Workers {
 public:
  explicit Workers(Context& context) : context_(context) {}

  void resolve(engine::mux::SessionId session, const std::string& host, std::uint16_t port) override;
  void handshake(engine::mux::SessionId session, std::unique_ptr<engine::tls::TlsSession> tls,
                 std::vector<std::byte> received) override;

  // Does one job. False: there is none.
  bool step();

  [[nodiscard]] bool has_news() const { return !done_.empty(); }
  // Tells all results. False: there are none.
  bool tell(engine::mux::Multiplexer& multiplexer);

 private:
  struct Lookup {
    engine::mux::SessionId session;
    std::uint16_t port = 0;
    std::expected<std::vector<engine::mux::Address>, std::string> addresses;
  };
  struct Step {
    engine::mux::SessionId session;
    std::unique_ptr<engine::tls::TlsSession> tls;
    std::vector<std::byte> received;
    std::vector<std::byte> output;
    std::expected<engine::tls::HandshakeState, engine::tls::TlsError> state;
  };
  using Job = std::variant<Lookup, Step>;

  void run(Lookup& lookup);

  Context& context_;
  std::vector<Job> waiting_;
  std::vector<Job> done_;
};

}  // namespace tlsmux::simulation
