#pragma once

// A plan for programs.

#include <span>
#include <string>
#include <string_view>

#include "config/plan.hpp"

namespace tlsmux::config {

// {"changes": [{"kind", "pointer", "words", "effect", "live", "why_not"}], "live": whether all are}; "why_not" only
// where a change is not live. Indented, with a line end.
std::string plan_json(std::span<const Change> changes);

// What came of it: {"applied", "errors": [the lines of `errors`], "warnings": [those of `warnings`], "changes", "live"}.
std::string refresh_json(std::span<const Change> changes, bool applied, std::string_view errors,
                         std::string_view warnings);

}  // namespace tlsmux::config
