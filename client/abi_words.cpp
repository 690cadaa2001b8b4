// The C ABI: names and sentences.

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "shm/outcome.hpp"
#include "tlsmux/tlsmux.h"

namespace {

namespace shm = tlsmux::shm;

}  // namespace

const char* tmx_version(void) { return TLSMUX_VERSION; }

// The string views are of literals, so a zero follows each.
const char* tmx_outcome_name(tmx_outcome outcome) {
  return shm::outcome_name(outcome <= TMX_MAYBE_SENT ? static_cast<shm::Outcome>(outcome) : shm::Outcome{0xff}).data();
}

const char* tmx_reason_name(tmx_reason reason) {
  return shm::reason_name(reason <= 0xffff ? static_cast<shm::Reason>(reason) : shm::Reason{0xffff}).data();
}

const char* tmx_reason_text(tmx_reason reason) {
  return shm::reason_text(reason <= 0xffff ? static_cast<shm::Reason>(reason) : shm::Reason{0xffff}).data();
}

// What channels and streams have in common is said so that it is true of both.
const char* tmx_error_text(int error) {
  switch (std::abs(error)) {
    case 0: return "no error";
    case EAGAIN:
      return "not possible at the moment: try again (on a channel, after taking completions and releasing answers)";
    case ENOTCONN: return "no engine at the moment, attaching goes on: try again";
    case ESTALE: return "the buffer belongs to an engine that is gone: abandon it and reserve another";
    case EMSGSIZE: return "the message is longer than the upstream allows";
    case EINVAL: return "an argument makes no sense";
    case ENOENT: return "no such group, upstream or request";
    case EACCES: return "this process is no member of the group, or the group may not use the upstream";
    case ECONNREFUSED: return "no engine listens on the control socket: is tlsmuxd running?";
    case ETIMEDOUT: return "not done in time, by the engine or (on a stream) by the host";
    case EBUSY: return "something of it is still open";
    case ECHILD: return "the handle was made before a fork and belongs to the parent process";
    case EPROTO: return "the engine speaks another version of the protocol";
    case ECONNABORTED: return "the stream was refused: its reason, or the words of its opening, say why";
    case ECONNRESET: return "the connection is lost: on a stream, its reason says why";
    case EPIPE: return "there is nobody at the other end any more, or the stream was shut down for writing";
    case ENOMEM: return "out of memory";
    default: break;
  }
  // Static for the errors that the system knows, and from any thread.
  const char* description = ::strerrordesc_np(std::abs(error));
  return description != nullptr ? description : "an unknown error";
}
