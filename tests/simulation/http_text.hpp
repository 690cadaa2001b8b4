#pragma once

// HTTP/1.1 as the simulation's processes and hosts speak it: written and read without the engine's reader.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/random.hpp"

namespace tlsmux::simulation {

// A request that nobody can misunderstand, in one of several forms. `number` is in its target and its body.
std::vector<std::byte> make_http_request(Random& random, std::uint64_t number, bool may_close);

struct HttpRequest {
  std::size_t bytes = 0;       // of all of it
  std::size_t head_bytes = 0;  // until the body begins
  std::string method;
  std::string target;
  bool closes = false;  // it is the last on its connection
};

// What stands at the beginning of `text`. Nothing: its head is not complete, or it is none. `bytes` is 0 while the body is
// not complete.
std::optional<HttpRequest> read_http_request(const std::string& text);
// It cannot become one any more.
bool is_no_http_request(const std::string& text);

struct HttpResponse {
  std::string text;
  bool closes = false;
};
HttpResponse make_http_response(Random& random, const HttpRequest& request, bool may_close);

}  // namespace tlsmux::simulation
