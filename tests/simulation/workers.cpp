#include "tests/simulation/workers.hpp"

#include <algorithm>
#include <utility>

namespace tlsmux::simulation {

using engine::mux::SessionId;

void Workers::resolve(SessionId session, const std::string& /*host*/, std::uint16_t port) {
  const auto memory = context_.engine_calls_world();
  if (context_.strikes(Fault::lookup_hangs)) return;
  waiting_.emplace_back(Lookup{.session = session, .port = port, .addresses = {}});
}

void Workers::handshake(SessionId session, std::unique_ptr<engine::tls::TlsSession> tls,
                        std::vector<std::byte> received) {
  const auto memory = context_.engine_calls_world();
  waiting_.emplace_back(
      Step{.session = session, .tls = std::move(tls), .received = std::move(received), .output = {}, .state = {}});
}

bool Workers::step() {
  if (waiting_.empty()) return false;
  const auto place = waiting_.begin() + static_cast<std::ptrdiff_t>(context_.random.below(waiting_.size()));
  auto job = std::move(*place);
  waiting_.erase(place);
  if (auto* step = std::get_if<Step>(&job)) {
    step->state = step->tls->handshake(step->received, step->output);
  } else {
    run(std::get<Lookup>(job));
  }
  done_.push_back(std::move(job));
  return true;
}

void Workers::run(Lookup& lookup) {
  if (context_.strikes(Fault::lookup_fails)) {
    lookup.addresses = std::unexpected(std::string("no such name"));
    return;
  }
  std::vector<engine::mux::Address> addresses(context_.random.between(1, 3));
  for (auto& address : addresses) {
    address.port = lookup.port;
    address.bytes[0] = std::byte(127);
    address.bytes[3] = std::byte(context_.random.between(1, 250));
  }
  lookup.addresses = std::move(addresses);
}

bool Workers::tell(engine::mux::Multiplexer& multiplexer) {
  auto done = std::exchange(done_, {});
  for (auto& job : done) {
    if (auto* step = std::get_if<Step>(&job)) {
      context_.engine_acts(
          [&] { multiplexer.handshake_stepped(step->session, std::move(step->tls), step->output, step->state); });
    } else {
      const auto& lookup = std::get<Lookup>(job);
      context_.engine_acts([&] { multiplexer.resolved(lookup.session, lookup.addresses); });
    }
  }
  return !done.empty();
}

}  // namespace tlsmux::simulation
