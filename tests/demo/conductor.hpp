#pragma once

#include "tests/demo/interrupt.hpp"
#include "tests/demo/options.hpp"
#include "tests/demo/screen.hpp"

namespace tlsmux::demo {

// The whole demo. Nothing of it is left when this returns or throws: Interrupted, or std::runtime_error when something
// did not run as it should (then the ends of the logs are printed). False: what the authorizers were told and what the
// hosts recorded contradict each other, or something was left behind; what, has been printed.
bool conduct(const Options& options, const Interrupt& interrupt, Screen& screen);

}  // namespace tlsmux::demo
