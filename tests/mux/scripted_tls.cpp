#include "tests/mux/scripted_tls.hpp"

#include <doctest/doctest.h>

namespace tlsmux::test {

void bring_up_scripted(MuxRig& rig, std::size_t session, TlsScript& script) {
  rig.connect(session);
  rig.step_handshake(session);
  auto tls = std::make_unique<ScriptedTlsSession>(script);
  std::vector<std::byte> hello;
  std::vector<std::byte> answer;
  std::vector<std::byte> plaintext;
  std::vector<std::byte> nothing;
  static_cast<void>(tls->handshake({}, hello));
  PlainTlsHost host;
  host.receive(hello, plaintext, answer);
  rig.receive(session, answer);
  std::erase_if(rig.workers.steps, [&](const auto& step) { return step.session.index == session; });
  const auto result = tls->handshake(answer, nothing);
  rig.mux.handshake_stepped(rig.network[session].id, std::move(tls), nothing, result);
  rig.mux.flush();
}

}  // namespace tlsmux::test
