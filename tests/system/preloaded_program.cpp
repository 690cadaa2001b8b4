#include "tests/system/preloaded_program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/support/skip.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    reading = shm::UniqueFd(ends[0]);
    writing = shm::UniqueFd(ends[1]);
  }
  shm::UniqueFd reading;
  shm::UniqueFd writing;
};

}  // namespace

std::string copy_into(const PortScene& scene, const std::string& file) {
  const auto copy = scene.folder() + "/" + std::filesystem::path(file).filename().string();
  if (std::filesystem::exists(copy)) return copy;
  std::filesystem::copy_file(file, copy);
  std::filesystem::permissions(copy, std::filesystem::perms{0755});
  return copy;
}

bool skip_without_program(const std::string& path, const std::string& package) {
  if (::access(path.c_str(), X_OK) == 0) return false;
  skip("this machine has no " + path + " (Debian: " + package + ")");
  return true;
}

PreloadedProgram::PreloadedProgram(const PortScene& scene, const std::vector<std::string>& arguments,
                                   const std::vector<std::string>& variables, const Identity& who) {
  const auto library = copy_into(scene, TLSMUX_PORTS_LIBRARY);
  Pipe input;
  Pipe output;
  process_ = std::make_unique<ChildProcess>([&] {
    scene.enter(who);
    ::dup2(input.reading.get(), STDIN_FILENO);
    ::dup2(output.writing.get(), STDOUT_FILENO);
    ::dup2(output.writing.get(), STDERR_FILENO);
    ::setenv("TLSMUX_GROUP", scene.first().c_str(), 1);
    ::setenv("LD_PRELOAD", library.c_str(), 1);
    auto copies = variables;
    for (auto& variable : copies) ::putenv(variable.data());
    auto words = arguments;
    std::vector<char*> pointers;
    for (auto& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    ::execv(pointers[0], pointers.data());
    return 127;
  });
  input_ = std::move(input.writing);
  output_ = std::move(output.reading);
}

std::string PreloadedProgram::line() {
  const auto patience_ms = std::chrono::milliseconds(kPatience).count();
  for (;;) {
    if (const auto end = read_.find('\n'); end != std::string::npos) {
      const auto line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return line;
    }
    pollfd wanted{.fd = output_.get(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&wanted, 1, static_cast<int>(patience_ms)) == 1);
    std::array<char, 512> bytes{};
    const auto got = ::read(output_.get(), bytes.data(), bytes.size());
    if (got <= 0) return std::exchange(read_, {});
    read_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

std::string PreloadedProgram::line_with(const std::string& text) {
  std::string all;
  for (;;) {
    const auto next = line();
    if (next.contains(text)) return next;
    all += next + "\n";
    INFO("it said: ", all);
    REQUIRE(!next.empty());
  }
}

void PreloadedProgram::type(const std::string& text) const {
  REQUIRE(::write(input_.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace tlsmux::test
