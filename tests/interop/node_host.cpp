#include "tests/interop/node_host.hpp"

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

// Where node is to look for packages.
constexpr const char* kPackages = TLSMUX_NODE_PACKAGES;
constexpr const char* kProgram = TLSMUX_SOURCE_FOLDER "/tests/interop/iso8583_host.js";

std::vector<std::string> host_command(const std::string& record, unsigned ask_every) {
  std::vector<std::string> command = {
      "env",    std::string("NODE_PATH=") + kPackages, "node",
      kProgram, host::certificate_file("server.pem"),  host::certificate_file("server.key"),
      record};
  if (ask_every > 0) command.push_back(std::to_string(ask_every));
  return command;
}

std::string bytes_of_hex(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

FieldValues parse_line(const std::string& line) {
  std::istringstream words(line);
  std::string word;
  words >> word;  // the connection's number
  FieldValues values;
  while (words >> word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos) throw std::runtime_error("not a line of the host's record: " + line);
    values[static_cast<unsigned>(std::stoul(word.substr(0, equals)))] = bytes_of_hex(word.substr(equals + 1));
  }
  return values;
}

}  // namespace

bool NodeHost::is_missing() {
  if (!std::filesystem::exists(std::string(kPackages) + "/iso_8583/package.json")) {
    skip("the npm package iso_8583 is not there; scripts/setup fetches it where npm can reach a registry");
    return true;
  }
  if (host::run_command({"node", "-e", ""}) == 0) return false;
  skip("there is no Node.js; scripts/setup installs it");
  return true;
}

NodeHost::NodeHost(unsigned ask_every) : process_(host_command(folder_.path("record"), ask_every)) {}

std::vector<FieldValues> NodeHost::received() const {
  std::vector<FieldValues> messages;
  std::istringstream lines(host::read_file(folder_.path("record")));
  std::string line;
  while (std::getline(lines, line)) messages.push_back(parse_line(line));
  return messages;
}

}  // namespace tlsmux::test
