#pragma once

// For one source of a fuzz target whose rig checks with doctest: what fails there ends the program, too.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "tests/fuzz/choices.hpp"

namespace tlsmux::fuzz {

inline void make_checks_fatal() {
  static doctest::Context context;
  static const bool once = [] {
    context.setAsDefaultForAssertsOutOfTestCases();
    context.setAssertHandler([](const doctest::AssertData& check) { fail(check.m_expr); });
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace tlsmux::fuzz
