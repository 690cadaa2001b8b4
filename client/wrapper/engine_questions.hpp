#pragma once

// What the wrapper asks of the engine: one short conversation on a control socket of its own each time, so that no descriptor
// of the wrapper's stays in the program, and threads and forks have nothing to share. Waits for each answer for a second at
// the most.

#include <expected>
#include <string>

#include "shm/control_protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::wrapper {

using StreamTicket = decltype(shm::AnnounceStreamReply::ticket);

class EngineQuestions {
 public:
  static std::expected<EngineQuestions, shm::SystemError> open(const std::string& control_socket);
  EngineQuestions(EngineQuestions&&) = default;
  EngineQuestions& operator=(EngineQuestions&&) = default;
  // The engine hears of it even if a child that was forked meanwhile has the socket too.
  ~EngineQuestions();

  std::expected<shm::MatchPeerReply, shm::SystemError> match(const shm::MatchPeerRequest& request) const;
  std::expected<StreamTicket, shm::SystemError> announce(const shm::AnnounceStreamRequest& request) const;

 private:
  explicit EngineQuestions(shm::UniqueFd socket) : socket_(std::move(socket)) {}

  shm::UniqueFd socket_;
};

}  // namespace tlsmux::wrapper
