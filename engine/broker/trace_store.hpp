#pragma once

// How far the trace numbers of each upstream have come, and which of them clients may still have, in a file that
// survives engines, brokers and restarts of the machine: NAME.trace in one folder, mode 0600, written anew and moved
// into place before any number of it is used.

#include <cstdint>
#include <expected>
#include <map>
#include <string>

#include "config/config.hpp"
#include "engine/shard/trace_blocks.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine::broker {

// Where it was known from.
enum class TraceMemory : std::uint8_t {
  file,
  broker,   // the file has gone, or makes no sense, while this broker ran
  nowhere,  // nothing is known of earlier numbers
};

// One for each engine.
class TraceStore {
 public:
  // It exists; of the files in it only those of the present user are believed, and no link is followed.
  void set_folder(std::string folder) { folder_ = std::move(folder); }
  static std::string path_of(const std::string& folder, const std::string& upstream) {
    return folder + "/" + upstream + ".trace";
  }

  struct Reserved {
    TraceReservation reservation;
    TraceMemory memory = TraceMemory::file;
  };

  // The next blocks of the round, at most so many and never over its end; the round goes on over engines. Another block
  // length than before skips a few numbers. Where the round stands at a number that is not in the range any more, or
  // at its end, it begins again. Where nothing is known of earlier numbers it goes on at a point in its first half that
  // the time of day (UTC) tells, so that a lost file does not repeat the numbers that came last. `now_s` counts from
  // 1970. Waits for the disk.
  std::expected<Reserved, shm::SystemError> reserve(const std::string& upstream,
                                                    const config::TraceNumberSettings& settings, const TraceNeed& need,
                                                    std::int64_t now_s);

 private:
  std::string folder_;
  std::map<std::string, std::uint32_t> next_;  // the number at which the round goes on, by upstream
};

}  // namespace tlsmux::engine::broker
