#pragma once

// A client in the test's own process: one attachment, one channel, over the C interface. In forked children use the C
// interface itself.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "tlsmux/tlsmux.h"

namespace tlsmux::test {

struct Ended {
  std::uint64_t tag = 0;
  tmx_outcome outcome{};
  tmx_reason reason{};
  std::string answer;
};

class Requester {
 public:
  // Attached to the config's first group, with a channel to its first upstream, unless told otherwise.
  explicit Requester(const config::Config& config, const std::string& group = {}, const std::string& upstream = {});
  // Gives up what is open.
  ~Requester();
  Requester(const Requester&) = delete;
  Requester& operator=(const Requester&) = delete;

  [[nodiscard]] tmx_channel* channel() const { return channel_; }

  // 0, or a negative errno of one of the two steps.
  int submit(std::string_view message, std::uint64_t tag = 0, std::uint32_t timeout_ms = 0);
  // As submit; tries again while no engine is there or all slots are in use.
  void submit_surely(std::string_view message, std::uint64_t tag = 0, std::uint32_t timeout_ms = 0);
  // The outcomes of so many requests. Fails the test if they do not come in time.
  std::vector<Ended> take(std::size_t count);
  Ended take_one() { return take(1).front(); }
  // The outcomes that have come already.
  std::vector<Ended> take_present();
  Ended ask(std::string_view message, std::uint32_t timeout_ms = 0);

  // tmx_upstream_last_error.
  std::string upstream_error();

 private:
  tmx_client* client_ = nullptr;
  tmx_channel* channel_ = nullptr;
};

// With the texts of `config`, which must live as long.
tmx_attach_options attach_options(const config::Config& config);

// A message of so many bytes that begins with 16 bytes which no other has that was made with another number.
std::string keyed_message(std::uint64_t number, std::size_t bytes = 64);

}  // namespace tlsmux::test
