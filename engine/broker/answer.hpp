#pragma once

// What becomes of a request of the engine's.

#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/broker/broker_protocol.hpp"
#include "shm/control_protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::engine::broker {

struct Answer {
  Reply reply;
  std::vector<shm::UniqueFd> descriptors;
};

inline Answer success(const Request& request, std::vector<shm::UniqueFd> descriptors = {}) {
  Answer answer;
  answer.reply.operation = request.operation;
  answer.reply.sequence = request.sequence;
  answer.descriptors = std::move(descriptors);
  return answer;
}

inline Answer success(const Request& request, shm::UniqueFd descriptor) {
  std::vector<shm::UniqueFd> descriptors;
  descriptors.push_back(std::move(descriptor));
  return success(request, std::move(descriptors));
}

inline Answer failure(const Request& request, int error, std::string_view text) {
  auto answer = success(request);
  answer.reply.error = error;
  shm::set_text(answer.reply.text, text);
  return answer;
}

inline Answer failure(const Request& request, const shm::SystemError& error) {
  return failure(request, error.code != 0 ? error.code : EIO, error.message);
}

}  // namespace tlsmux::engine::broker
