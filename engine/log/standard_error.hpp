#pragma once

namespace tlsmux::engine {

// The descriptor leads to where standard error does.
bool is_standard_error(int descriptor);

}  // namespace tlsmux::engine
