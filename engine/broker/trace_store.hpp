#pragma once

// How far the trace numbers of each upstream have come, in a file that survives engines, brokers and restarts of the
// machine: NAME.trace in one folder, mode 0600, written anew and moved into place before any number of it is used.

#include <cstdint>
#include <expected>
#include <string>

#include "config/config.hpp"
#include "engine/trace_blocks.hpp"
#include "shm/system_error.hpp"

namespace tlsmux::engine::broker {

class TraceStore {
 public:
  // The folder exists; of the files in it only those of the present user are believed, and no link is followed.
  explicit TraceStore(std::string folder) : folder_(std::move(folder)) {}

  struct Reserved {
    TraceChunk chunk;
    bool began_anew = false;  // there was no file, or none that makes sense
  };

  // The next blocks of the round, at most `blocks` and never over its end. Where nothing is known of earlier numbers the
  // round goes on at a point in its first half that the time of day (UTC) tells, so that a lost file does not repeat the
  // numbers that came last. An engine's `first` reservation begins the next round where less than a quarter of a large
  // one is left: what comes after the end of a round has to wait for a minute after an engine's start. `now_s` counts
  // from 1970. Waits for the disk.
  std::expected<Reserved, shm::SystemError> reserve(const std::string& upstream,
                                                    const config::TraceNumberSettings& settings, std::uint32_t blocks,
                                                    bool first, std::int64_t now_s);

 private:
  std::string folder_;
};

// Where the files are: `state_directory`, or the folder of the control socket.
std::string state_folder(const config::EngineSettings& engine);

}  // namespace tlsmux::engine::broker
