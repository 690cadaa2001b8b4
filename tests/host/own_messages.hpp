#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "tests/host/iso8583_ascii.hpp"
#include "tests/host/options.hpp"
#include "tests/host/shared_state.hpp"

namespace tlsmux::host {

// The requests that the host sends on one connection, and the answers to them.
class OwnMessages {
 public:
  // `shared` must outlive it.
  OwnMessages(OwnMessageKind kind, SharedState& shared) : kind_(kind), shared_(shared) {}

  // The next request, unframed. It counts as unanswered until its answer comes on the same connection.
  std::string next();

  // Counts a response: answered when type, trace number and field 70 fit and field 39 is 00, refused with
  // another field 39, else unmatched.
  void take_response(const Message& response);

 private:
  OwnMessageKind kind_;
  SharedState& shared_;
  std::map<std::string, std::string, std::less<>> open_;  // trace number -> response type and field 70
};

}  // namespace tlsmux::host
