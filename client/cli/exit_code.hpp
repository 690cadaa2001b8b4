#pragma once

// The exit codes of `tlsmux`, for scripts.

namespace tlsmux::client::cli {

enum ExitCode : int {
  kExitDone = 0,    // also: the request was answered
  kExitFailed = 1,  // errors in the configuration, no such group or upstream, or the request could not be made
  kExitUsage = 2,
  kExitNotSent = 3,
  kExitMaybeSent = 4,
  kExitNoEngine = 5,  // no engine, none that answers, or no access to it
};

// The code for an errno of the library.
int exit_code_of_error(int error);

}  // namespace tlsmux::client::cli
