#pragma once

// A program, a host and an engine: the same calls on a session of the program's own and on a shared one.

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/wrapper/script_run.hpp"
#include "tests/wrapper/scripted_engine.hpp"
#include "tests/wrapper/tls_host.hpp"

namespace tlsmux::test {

// host.example under an authority of its own, in files for programs.
struct Certificates {
  Authority root{"Root"};
  Authority intermediate{root.issue_authority("Intermediate")};
  Identity host{intermediate.issue({.alternative_names = "DNS:host.example,IP:127.0.0.1"})};
  TemporaryFolder folder;
  std::string root_file{folder.add("root.pem", root.pem())};

  [[nodiscard]] std::vector<const Identity*> chain() const { return {&host, &intermediate.identity()}; }
};

struct Scene {
  explicit Scene(std::vector<std::string> host_script, const TlsHostSettings& settings = {})
      : script(std::move(host_script)),
        host(certificates.host, {&certificates.intermediate.identity()}, settings, script, gate.reads) {}

  [[nodiscard]] EngineScript by_address() const {
    EngineScript engine;
    engine.shared_port = host.port();
    engine.certificates = certificates.chain();
    engine.stream = script;
    return engine;
  }

  Certificates certificates;
  Gate gate;
  std::vector<std::string> script;
  TlsHost host;
};

inline std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < line.size();) {
    const auto end = std::min(line.find(' ', at), line.size());
    if (end > at) words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// PORT and ROOT stand for the host's port and its authority's file.
inline std::vector<std::string> command_of(const Scene& scene, const std::string& calls,
                                           const std::string& program = TLSMUX_SSL_SCRIPT) {
  std::vector<std::string> command{program};
  for (auto word : words_of(calls)) {
    if (word == "PORT") word = std::to_string(scene.host.port());
    if (word == "ROOT") word = scene.certificates.root_file;
    command.push_back(word);
  }
  return command;
}

inline std::vector<std::string> preloaded(const ScriptedEngine& engine, const std::string& mode = {}) {
  std::vector<std::string> environment{"LD_PRELOAD=" TLSMUX_SSL_LIBRARY,
                                       "TLSMUX_CONTROL_SOCKET=" + engine.control_socket()};
  if (!mode.empty()) environment.push_back("TLSMUX_SSL=" + mode);
  return environment;
}

inline std::string joined(const ScriptRun& run) {
  std::string all;
  for (const auto& line : run.lines) all += line + "\n";
  return all;
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace tlsmux::test
