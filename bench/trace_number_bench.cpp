// What a trace number costs, at a live engine: trace_number_bench UPSTREAM [COUNT]. Group and socket from the environment.
#include <tlsmux/tlsmux.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

using Clock = std::chrono::steady_clock;

double ns_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double, std::nano>(end - start).count();
}

// Takes them one right after the other; exits when none comes.
void take(tmx_channel* channel, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint32_t number = 0;
    if (const int error = tmx_next_trace_number(channel, &number); error < 0) {
      std::fprintf(stderr, "trace_number_bench: %s\n", tmx_error_text(error));
      std::exit(1);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const std::uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200'000;
  tmx_client* client = nullptr;
  tmx_channel* channel = nullptr;
  int error = tmx_attach(nullptr, &client);
  if (error == 0) error = tmx_channel_open(client, argv[1], &channel);
  if (error < 0) {
    std::fprintf(stderr, "trace_number_bench: %s\n", tmx_error_text(error));
    return 1;
  }
  constexpr std::uint64_t kBurst = 32;  // as many as come before a request does
  take(channel, kBurst);
  double paced_ns = 0;
  constexpr std::uint64_t kBursts = 1000;
  for (std::uint64_t i = 0; i < kBursts; ++i) {
    tmx_completion nothing;
    tmx_poll(channel, &nothing, 1, 1);  // a millisecond, not measured: the engine grants meanwhile
    const auto start = Clock::now();
    take(channel, kBurst);
    paced_ns += ns_between(start, Clock::now());
  }
  const auto start = Clock::now();
  take(channel, count);
  const auto flat_out_ns = ns_between(start, Clock::now());
  std::printf("%.1f ns a number in bursts of %llu\n", paced_ns / static_cast<double>(kBursts * kBurst),
              static_cast<unsigned long long>(kBurst));
  std::printf("%.1f ns a number flat out, waits for the engine included\n", flat_out_ns / static_cast<double>(count));
  tmx_channel_discard(channel);
  tmx_detach(client);
}
