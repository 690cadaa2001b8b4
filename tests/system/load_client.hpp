#pragma once

// An authorizer process: sends messages of random sizes and holds each answer against the request.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace tlsmux::test {

struct LoadOrder {
  std::string control_socket;
  std::string group;
  std::vector<std::string> upstreams = {"acquirer"};  // a channel to each
  std::uint64_t seed = 0;
  std::uint32_t client = 0;    // in its messages: no two clients of a test bear the same number
  std::uint32_t requests = 0;  // 0: until `stop` is readable
  int stop = -1;
  std::uint32_t bytes_min = 16;  // from 16 on each message begins with a key
  std::uint32_t bytes_max = 1024;
  std::uint32_t in_flight_max = 8;  // on each channel
  std::uint32_t timeout_ms_min = 60'000;
  std::uint32_t timeout_ms_max = 60'000;
  std::uint32_t cancel_percent = 0;
  std::atomic<std::uint64_t>* answered = nullptr;  // counts answers for others to see
  std::string ledger = {};                         // a file for the fate of each request; empty: none
};

enum class LoadTrouble : std::uint32_t {
  none = 0,
  attach,  // `error` says why
  open,
  submit,
  poll,
  close,
  answer,       // an answer that is not the request's
  unknown_tag,  // an outcome of no open request
  stuck,        // no outcome for half a minute
};

struct LoadReport {
  std::uint64_t submitted = 0;
  std::uint64_t answered = 0;
  std::uint64_t not_sent = 0;
  std::uint64_t maybe_sent = 0;
  std::array<std::uint64_t, 64> not_sent_reasons{};
  std::array<std::uint64_t, 64> maybe_sent_reasons{};
  std::uint64_t refused_submissions = 0;  // by a negative errno: no request
  LoadTrouble trouble{};
  std::int32_t error = 0;

  [[nodiscard]] std::uint64_t outcomes() const { return answered + not_sent + maybe_sent; }
};

// Returns when all is done or something is wrong. Attaches as soon as there is an engine, and again by itself.
LoadReport run_load(const LoadOrder& order);

std::string load_message(std::uint64_t seed, std::uint32_t client, std::uint64_t sequence, std::size_t bytes);

}  // namespace tlsmux::test
