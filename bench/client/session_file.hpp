#pragma once

// A TLS session that many clients resume, some while another one writes it: it is whole whenever it is there.

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <span>
#include <string>
#include <tuple>

namespace tlsmux::bench {

inline void write_session_file(const std::string& path, std::span<const unsigned char> session) {
  const auto unfinished = path + "." + std::to_string(::getpid());
  std::ofstream(unfinished, std::ios::binary)
      .write(reinterpret_cast<const char*>(session.data()), static_cast<std::streamsize>(session.size()));
  // Without it the next clients resume nothing, which the number of handshakes shows.
  std::ignore = std::rename(unfinished.c_str(), path.c_str());
}

}  // namespace tlsmux::bench
