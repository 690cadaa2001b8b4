#pragma once

#include <doctest/doctest.h>

#include "shm/row.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {

// A row of a table in shared memory. While it is being written it cannot be read, and its writer may be kept from the
// processor for long. Fails the test if it cannot be read at all.
template <typename Row>
void read_surely(const Row& shared, Row& row) {
  REQUIRE(eventually([&] { return shm::read_row(shared, row); }));
}

}  // namespace tlsmux::test
