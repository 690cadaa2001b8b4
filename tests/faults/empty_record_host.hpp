#pragma once

// A host on mbedTLS, which can say nothing in records: OpenSSL cannot. A process of its own; one connection at a time.

#include <cstdint>
#include <memory>
#include <string>

#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"

namespace tlsmux::test {

struct EmptyRecordPlan {
  bool is_1_3 = true;
  std::uint64_t answers_from = 1;  // the connection, counted from 1, from which on messages are answered
  // Before each answer.
  std::uint32_t records_before_answer = 0;
  // On the connections before that: after this many messages so many records, and no answer.
  std::uint64_t messages = 0;
  std::uint32_t records = 0;
};

class EmptyRecordHost {
 public:
  // What it receives is written to `record` as tlsmux-host writes it. Echoes; messages have a length of 2 bytes.
  EmptyRecordHost(const EmptyRecordPlan& plan, const std::string& record);

  [[nodiscard]] std::uint16_t port() const { return port_; }
  // Of the authority that has signed for it, and the name that it has.
  static std::string authority_pem();
  static std::string name();

 private:
  std::uint16_t port_ = 0;
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace tlsmux::test
