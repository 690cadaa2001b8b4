#pragma once

// A tlsmuxd with a library between it and the C library, which looks at a number in a file that the test may change.

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "shm/system/unique_fd.hpp"
#include "tests/broker/process.hpp"
#include "tests/support/skip.hpp"
#include "tests/system/engine_process.hpp"

namespace tlsmux::test {

inline bool skip_preloading() {
  return skip_under_sanitizer("the sanitizer must be the first library, and the test preloads one");
}

template <typename Number>
class PreloadedNumber {
 public:
  // The library finds the file by that variable of the environment.
  PreloadedNumber(const TemporaryFolder& folder, std::string library, std::string variable)
      : library_(std::move(library)),
        variable_(std::move(variable)),
        path_(folder.path() + "/" + variable_),
        file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    REQUIRE(::ftruncate(file_.get(), sizeof(Number)) == 0);
  }
  void set(Number number) const { REQUIRE(::pwrite(file_.get(), &number, sizeof number, 0) == sizeof number); }
  [[nodiscard]] EngineLaunch launch() const {
    return {.prepare = [this] {
      return ::setenv(variable_.c_str(), path_.c_str(), 1) == 0 && ::setenv("LD_PRELOAD", library_.c_str(), 1) == 0;
    }};
  }

 private:
  std::string library_;
  std::string variable_;
  std::string path_;
  shm::UniqueFd file_;
};

}  // namespace tlsmux::test
