#include "tests/support/temporary_folder.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace tlsmux::test {
namespace {

void check(bool done, const char* what) {
  if (!done) throw std::runtime_error(what);
}

}  // namespace

TemporaryFolder::TemporaryFolder(const std::filesystem::path& parent)
    : path_((parent / "tlsmux-test-XXXXXX").string()) {
  check(::mkdtemp(path_.data()) != nullptr, "a temporary folder cannot be made");
  check(::chmod(path_.c_str(), 0755) == 0, "a temporary folder cannot be opened to others");
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::add(const std::string& name, const std::string& text, mode_t mode) const {
  auto file = path(name);
  std::ofstream(file, std::ios::binary) << text;
  check(::chmod(file.c_str(), mode) == 0, "a file cannot be made in a temporary folder");
  return file;
}

}  // namespace tlsmux::test
