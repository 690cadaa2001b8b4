#pragma once

#include "engine/confinement/confinement.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {

// True when the build's engines are not confined.
inline bool skip_with_sanitizer() {
  if (!engine::confinement::is_instrumented()) return false;
  skip("a build with a sanitizer, or that counts coverage, is not confined");
  return true;
}

}  // namespace tlsmux::test
