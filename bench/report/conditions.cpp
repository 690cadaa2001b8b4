#include "bench/report/conditions.hpp"

#include <sys/utsname.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <vector>

#include "bench/process/child_process.hpp"

namespace tlsmux::bench {
namespace {

struct ClosePipe {
  void operator()(std::FILE* pipe) const { ::pclose(pipe); }
};

// Of what a program says when it is asked for its version, the part from `start` up to a blank or a bracket.
std::string version_of(const std::string& program, const std::string& arguments, const std::string& start) {
  const auto path = find_program(program);
  if (path.empty()) return {};
  const std::unique_ptr<std::FILE, ClosePipe> pipe(::popen((path + " " + arguments + " 2>&1 </dev/null").c_str(), "r"));
  std::string said;
  std::array<char, 512> part;
  while (pipe && std::fgets(part.data(), part.size(), pipe.get()) != nullptr) said += part.data();
  const auto at = said.find(start);
  if (at == std::string::npos) return {};
  const auto begin = at + start.size();
  return said.substr(begin, said.find_first_of(" \n,(", begin) - begin);
}

}  // namespace

std::string machine_text(unsigned processors) {
  utsname kernel{};
  ::uname(&kernel);
  std::string model;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; model.empty() && std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) model = ", " + line.substr(colon + 2);
  }
  return std::to_string(processors) + (processors == 1 ? " processor" : " processors") + model + ", Linux " +
         kernel.release;
}

std::string peers_text() {
  std::string text;
  const auto add = [&](const std::string& name, const std::string& version) {
    if (!version.empty()) text += (text.empty() ? "" : ", ") + name + " " + version;
  };
  add("OpenSSL", version_of("openssl", "version", "OpenSSL "));
  add("stunnel", version_of("stunnel4", "-version", "stunnel "));
  add("HAProxy", version_of("haproxy", "-v", "HAProxy version "));
  add("nginx", version_of("nginx", "-v", "nginx/"));
  return text;
}

}  // namespace tlsmux::bench
