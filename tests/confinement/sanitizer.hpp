#pragma once

#include <cstdio>

#include "engine/confinement/confinement.hpp"

namespace tlsmux::test {

// True when the build's engines are not confined.
inline bool skip_with_sanitizer() {
  if (!engine::confinement::is_instrumented()) return false;
  std::printf("SKIPPED: a build with a sanitizer, or that counts coverage, is not confined\n");
  return true;
}

}  // namespace tlsmux::test
