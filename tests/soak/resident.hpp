#pragma once

// A process that lives as long as the soak does, and rests between its phases with its attachment open.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/broker/process.hpp"
#include "tests/soak/board.hpp"
#include "tests/system/ledger.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::soak {

enum class Trade : std::uint8_t { caller, iso8583_caller, streamer, lessee, port_user };

struct ResidentOrder {
  Trade trade{};
  std::size_t number = 0;    // of its line on the board
  std::uint32_t client = 0;  // in its messages and its ledger
  std::uint64_t seed = 0;
  std::string control_socket;
  std::string group;
  std::string upstream;
  std::string ledger;
};

class Resident {
 public:
  Resident() = default;
  virtual ~Resident() = default;
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;

  // One thing of its trade. Throws std::runtime_error when something is not as it must be.
  virtual void work() = 0;
  // Gives back all that is to be held only while it works.
  virtual void rest() {}
};

std::unique_ptr<Resident> make_caller(const ResidentOrder& order, Board& board);
std::unique_ptr<Resident> make_iso8583_caller(const ResidentOrder& order, Board& board);
std::unique_ptr<Resident> make_streamer(const ResidentOrder& order, Board& board);  // the lessee, too
std::unique_ptr<Resident> make_port_user(const ResidentOrder& order, Board& board);

class ResidentProcess {
 public:
  ResidentProcess(const ResidentOrder& order, Board& board);
  [[nodiscard]] pid_t pid() const { return process_->pid(); }
  [[nodiscard]] const ResidentOrder& order() const { return order_; }
  int wait() { return process_->wait(); }

 private:
  ResidentOrder order_;
  std::unique_ptr<test::ChildProcess> process_;
};

// ---- For residents ----

// Attached once there is an engine; detached at the end.
class Attachment {
 public:
  explicit Attachment(const ResidentOrder& order);
  ~Attachment();
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  [[nodiscard]] tmx_client* client() const { return client_; }
  // Once there is one. It ends with the attachment.
  tmx_channel* open_channel(const std::string& upstream);

 private:
  tmx_client* client_ = nullptr;
  std::vector<tmx_channel*> channels_;
};

// Of errors: whether it goes over, as when the engine is away.
bool is_passing(int error);
// What residents do after one, so that they do not spin.
void wait_a_moment();
// Throws with these words.
[[noreturn]] void object(const std::string& words, int error = 0);

}  // namespace tlsmux::soak
