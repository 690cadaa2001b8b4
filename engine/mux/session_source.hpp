#pragma once

// From where a session's connection is made: tcp.source_address, and a port of tcp.source_ports.

#include <expected>
#include <string>

#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

// To session.address. Takes a port for the session, if the upstream wants one. An error in words: there is none.
std::expected<ConnectOptions, std::string> take_source(Upstream& upstream, Session& session);

// Once nothing of the connection is left.
void give_source_back(Upstream& upstream, Session& session);

// After the error of a connect: whether the same address is worth another try from another port, since the kernel still
// has something on this one, or somebody else has. Each port is tried once.
bool is_worth_another_port(const Upstream& upstream, Session& session, int error);

// What the error of a connect is called.
shm::Reason reason_of_connect_error(int error);

// For the error text of a connect: " from source_address ::1 from source port 1000", or nothing.
std::string source_in_words(const Upstream& upstream, const Session& session);

}  // namespace tlsmux::engine::mux
