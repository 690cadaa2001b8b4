#include "engine/workers/workers.hpp"

#include <pthread.h>

#include <utility>

#include "engine/confinement/confinement.hpp"
#include "shm/assert.hpp"

namespace tlsmux::engine {
namespace {

HandshakeResult run_step(HandshakeJob job) {
  HandshakeResult result{.session = job.session, .tls = std::move(job.tls), .output = {}, .state = {}};
  result.state = result.tls->handshake(job.received, result.output);
  return result;
}

}  // namespace

Workers::Workers(Mailbox<WorkerResult>& results, std::uint32_t threads, std::size_t jobs_max)
    : results_(results), jobs_(jobs_max) {
  TMX_ASSERT(threads >= 1);
  threads_.reserve(threads);
  try {
    for (std::uint32_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  } catch (...) {
    stop();
    throw;
  }
}

Workers::~Workers() { stop(); }

void Workers::stop() {
  jobs_.close();
  for (auto& thread : threads_) thread.join();
}

void Workers::run() {
  ::pthread_setname_np(::pthread_self(), "tmx-worker");
  confinement::enter_thread(confinement::ThreadKind::worker);
  while (auto job = jobs_.pop()) results_.post(run_step(std::move(*job)));
}

}  // namespace tlsmux::engine
