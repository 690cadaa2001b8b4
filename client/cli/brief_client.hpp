#pragma once

// A client of the engine for a question or two, without channels: it is attached, and maps nothing.

#include <expected>
#include <string>

#include "client/cli/control_request.hpp"

namespace tlsmux::client::cli {

class BriefClient {
 public:
  // EACCES: not a member of the group; EAGAIN: the group has all its clients. Blocks for some seconds at the most, as
  // all of these do.
  static std::expected<BriefClient, shm::SystemError> attach(const std::string& control_socket,
                                                             const std::string& group);

  BriefClient(BriefClient&&) = default;
  BriefClient& operator=(BriefClient&&) = delete;
  ~BriefClient() {
    if (socket_) [[maybe_unused]]
      const auto told = tell(shm::GoodbyeNotice{});
  }

  // What has no answer of its own.
  template <typename Message>
  std::expected<void, shm::SystemError> tell(const Message& message) {
    return shm::send_message(socket_.get(), message);
  }

  // A refusal is an error.
  template <typename Answer, typename Request>
  std::expected<Answer, shm::SystemError> ask(const Request& request) {
    if (auto sent = tell(request); !sent) return std::unexpected(sent.error());
    return receive<Answer>();
  }

 private:
  explicit BriefClient(shm::UniqueFd socket) : socket_(std::move(socket)) {}

  template <typename Answer>
  std::expected<Answer, shm::SystemError> receive() {
    const auto packet = receive_answer(socket_, kAnswerTimeoutMs);
    if (!packet) return std::unexpected(packet.error());
    Answer answer;
    if (shm::read_message(*packet, answer)) return answer;
    return std::unexpected(shm::SystemError{.code = EPROTO, .message = "no answer that this program understands"});
  }

  shm::UniqueFd socket_;
};

}  // namespace tlsmux::client::cli
