#include "tests/simulation/host_tls.hpp"

#include "tests/simulation/real_host.hpp"

namespace tlsmux::simulation {

using test::PlainTlsHost;

HostTls::State PlainHostTls::receive(std::span<const std::byte> received, std::vector<std::byte>& plaintext,
                                     std::vector<std::byte>& output) {
  std::vector<std::byte> reply;
  const bool was_shaking_hands = state() == State::handshake;
  if (host_.receive(received, plaintext, reply) == PlainTlsHost::State::corrupt) {
    throw Violation("a host received what is no record");
  }
  if (manner_ == Manner::refuses && was_shaking_hands && state() != State::handshake) {
    reply.clear();
    PlainTlsHost::refuse(shm::Reason::certificate_rejected_by_host, reply);
  }
  if (manner_ != Manner::hangs) output.insert(output.end(), reply.begin(), reply.end());
  return state();
}

HostTls::State PlainHostTls::state() const {
  switch (host_.state()) {
    case PlainTlsHost::State::handshake: return State::handshake;
    case PlainTlsHost::State::open: return State::open;
    case PlainTlsHost::State::closed_by_client: return State::closed_by_client;
    case PlainTlsHost::State::corrupt: break;
  }
  return State::failed;
}

void PlainHostTls::babble(std::span<const std::byte> garbage, std::vector<std::byte>& output) {
  output.push_back(kNoRecordType);
  output.insert(output.end(), garbage.begin(), garbage.end());
}

std::unique_ptr<HostTls> make_host_tls(Context& context, std::uint32_t upstream, Manner manner) {
  if (context.real_hosts == nullptr) return std::make_unique<PlainHostTls>(manner);
  return context.real_hosts->accept(upstream, manner);
}

}  // namespace tlsmux::simulation
