#pragma once

// A way from a program to the host: one of those that are measured beside each other.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tlsmux::bench {

// What all systems of a run share.
struct Ground {
  std::string folder;          // for files of this run
  std::string program_folder;  // of our own programs
  std::string other_folder;    // of another build's; empty: there is none
  std::string host_address;    // "127.0.0.1:PORT"
  std::string certificates;    // a folder that scripts/make-certificates has filled
  std::string ca_file;         // of the host's certificate, which is for "localhost"
  unsigned processors = 1;
};

// What a workload asks of a system.
struct Demand {
  std::string name;  // of the workload; different for each system that is started
  std::uint32_t clients = 1;
  std::uint32_t in_flight = 1;  // of each client
  std::uint32_t message_bytes_max = 300;
  std::uint32_t sessions = 2;  // to the host, for systems that share them
  bool resumption = true;      // of TLS sessions
};

// How a client of the system is started.
struct ClientCommand {
  std::string program;                   // in Ground::program_folder, or a whole path
  std::string target;                    // what ClientArguments calls so
  std::string session_file;              // likewise
  std::uint32_t spin_us = 0;             // likewise
  std::vector<std::string> environment;  // NAME=VALUE
};

// The seam between workloads and systems. One thread.
class System {
 public:
  virtual ~System() = default;

  // Starts what runs beside the clients; returns once it serves. Throws std::runtime_error. Called once.
  virtual void start(const Ground& ground, const Demand& demand) = 0;
  // For the client of this number.
  [[nodiscard]] virtual ClientCommand client(std::uint32_t number) const = 0;
  // The processes between clients and host; none if there are none.
  [[nodiscard]] virtual std::vector<pid_t> services() const { return {}; }
};

struct SystemKind {
  std::string name;
  std::string program;  // that must be installed; empty: none but our own
  std::unique_ptr<System> (*make)();
  std::string only_in = "";  // a workload, and those whose names go on with `_`. Empty: in all

  [[nodiscard]] bool is_for(const std::string& workload) const {
    return only_in.empty() || workload == only_in || workload.starts_with(only_in + "_");
  }
};

// In the order in which they are shown.
const std::vector<SystemKind>& system_kinds();
// Throws std::runtime_error if there is none of that name.
const SystemKind& system_kind(const std::string& name);

}  // namespace tlsmux::bench
