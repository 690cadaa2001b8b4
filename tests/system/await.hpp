#pragma once

#include <source_location>

#include <doctest/doctest.h>

#include "tests/system/eventually.hpp"

namespace tlsmux::test {

// Fails the test, at the line that calls this, when `condition` does not become true in time.
template <typename Condition>
void await(Condition condition, std::source_location where = std::source_location::current()) {
  if (!eventually(condition)) {
    ADD_FAIL_AT(where.file_name(), static_cast<int>(where.line()), "what is awaited here does not come");
  }
}

}  // namespace tlsmux::test
