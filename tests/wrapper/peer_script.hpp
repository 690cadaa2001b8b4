#pragma once

// What a host does on one connection, whether it is one of TLS or a stream of the engine's.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tlsmux::test {

// One connection, as the host has it.
class PeerEnd {
 public:
  PeerEnd() = default;
  PeerEnd(const PeerEnd&) = delete;
  PeerEnd& operator=(const PeerEnd&) = delete;
  virtual ~PeerEnd() = default;

  virtual void send(std::string_view data) = 0;
  // Up to so many bytes of data; 0: the program sends no more.
  virtual std::size_t receive(char* into, std::size_t bytes) = 0;
  virtual void send_close_notify() = 0;
  // Ends the connection as a host that resets it would be seen to.
  virtual void reset() = 0;
  // Ends it without close_notify.
  virtual void drop() = 0;
  // Ends it without a word: as when the other machine, or the engine, dies.
  virtual void vanish() = 0;
};

//   send T, fill N        sends text, or N bytes         expect N     receives N bytes, and sends nothing
//   until T               receives until this has come
//   echo N                sends back the next N bytes    sum N        receives N bytes, sends "sum S"
//   notify, reset, drop, vanish                          gate         waits until the program says to go on
//   end                   receives until the program sends no more
// Then the connection is closed. `gate`: a descriptor to read from. Returns what was received by `expect`.
std::string play(PeerEnd& peer, const std::vector<std::string>& script, int gate);

// Until the program says to go on.
void wait_at(int gate);

// The bytes that ssl_script writes.
std::string pattern(std::size_t bytes);

}  // namespace tlsmux::test
