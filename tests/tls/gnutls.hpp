// GnuTLS's programs as the other end of a connection on the loopback interface.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"
#include "tests/tls/record_rig.hpp"

namespace tlsmux::test {

// False when the programs are not installed, having said so.
bool have_gnutls();

// GnuTLS's priority string for exactly this.
std::string gnutls_priority(const VersionAndSuite& suite);

// Reads what is there, waiting for it up to 20 seconds. Empty: the other end is closed.
Bytes read_some(int descriptor);
void write_all(int descriptor, std::span<const std::byte> bytes);

// A program whose input and output (both of them) are pipes of ours.
class PipedProgram {
 public:
  explicit PipedProgram(const std::vector<std::string>& command);

  void say(std::string_view text);
  // Reads until `text` has come, and takes all up to its end.
  void await(std::string_view text);

 private:
  shm::UniqueFd input_;
  shm::UniqueFd output_;
  std::string unread_;
  std::unique_ptr<ChildProcess> process_;
};

struct Listener {
  shm::UniqueFd socket;
  std::uint16_t port = 0;
};
Listener listen_on_loopback();
shm::UniqueFd accept_one(const Listener& listener);
shm::UniqueFd connect_to_loopback(std::uint16_t port);

// Puts this process into a network of its own, where only its loopback interface is: for servers that would listen on
// every interface. False when that is not allowed, having said so.
bool enter_private_network();

}  // namespace tlsmux::test
