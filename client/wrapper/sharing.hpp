#pragma once

// Which connections are the engine's, and how a program's socket is led to it. For the whole process; thread-safe. Nothing
// here throws but std::bad_alloc.

#include <optional>
#include <string>
#include <string_view>

#include "client/wrapper/engine_questions.hpp"
#include "client/wrapper/redirected_sockets.hpp"

namespace tlsmux::wrapper {

enum class Mode : std::uint8_t {
  automatic,  // as the engine's rules say
  shared,     // what no rule covers fails
  unshared,
};

// TLSMUX_SSL.
Mode mode_of_environment();

// Nothing is done but by calls of the program: called once, before it begins.
void prepare();

// The engine's answer that a connection is to be shared, with the conversation going on.
struct Match {
  EngineQuestions engine;
  shm::MatchPeerReply reply;
};

// A TCP socket that is free to be connected elsewhere.
bool can_be_led(int socket);

// Nothing: no rule fits, or the engine cannot be asked or reached: a line on standard error, once, if it was expected.
std::optional<Match> ask(int socket, const client::InetAddress& peer, std::string_view server_name);

// Connects an unconnected socket to the engine's listener and announces it. 0, or EINPROGRESS or EINTR where the socket is
// still connecting. Nothing: it did not come about, and the socket is unconnected again.
std::optional<int> redirect(int socket, const client::InetAddress& original, const Match& match);

// Nothing: the kernel is to connect it. Else the call is done: 0 or its errno.
std::optional<int> connect_redirected(int socket, const sockaddr* address, socklen_t length);

RedirectedSockets& redirected_sockets();

// The socket is as if it had never been connected; its options stay.
void dissolve(int socket);

// The program has sent or received on it. False where the kernel does not tell.
bool has_spoken(int socket);

// The program has said that there is one.
void expect_engine();

// A line on standard error, the first time only, if an engine was expected.
void say_once(std::string_view why);

}  // namespace tlsmux::wrapper
