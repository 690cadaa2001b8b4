#pragma once

// What the engine and its broker give up for good, in the order of CONFINEMENT.md.

#include <expected>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "engine/confinement/thread_kind.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::confinement {

// A build with a sanitizer, or that counts coverage: its own calls and files are no part of the rules.
bool is_instrumented();

// What is in force.
struct Confinement {
  bool calls_filtered = false;
  int landlock_version = 0;  // of Landlock; 0: files are not restricted
  std::string missing;       // what is not in force and why; empty: nothing
};

// In an engine's process, after it has become its user and while it has one thread: no core dumps, files restricted, and
// filters made ready for enter_thread(). An error if the kernel cannot filter calls; a kernel without Landlock is told
// in `missing`. Breaches are written to `log_output`, by a descriptor of their own.
// With `wanted` off no more than core dumps is given up, and an instrumented build gives up nothing; both are told in
// `missing`.
std::expected<Confinement, shm::SystemError> confine_process(int log_output,
                                                             config::Confinement wanted = config::Confinement::on);

// In a broker, while it has one thread: no new privileges, and its own rules of calls, which the engines that it forks
// have beside theirs. `log_output` stays open as long as the process and they live. An instrumented build is not confined.
std::expected<void, shm::SystemError> confine_broker(int log_output);

// The calling thread is of this kind from now on, and so are those that it starts, until they say otherwise. Only ever
// tighter. A call that the rules do not allow ends the process. Without confine_process(), as in tests of single parts,
// it does nothing. Breaches are logged with `thread`, a text that lives for ever; empty: with the kind's name.
void enter_thread(ThreadKind kind, std::string_view thread = {});

}  // namespace tlsmux::engine::confinement
