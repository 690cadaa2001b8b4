// Where an exchange of HTTP/1.1 ends, in every way that RFC 9112 knows, cut at every byte.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "config/limits.hpp"
#include "tests/message/boundary_script.hpp"

using namespace tlsmux;
using namespace std::string_literals;
using engine::message::Boundary;
using test::BoundaryState;
using test::pass;
using test::Script;
using test::state_of;

namespace {

struct Row {
  std::string name;
  Script script;
};

std::unique_ptr<Boundary> make() {
  static const config::FramingSettings settings{.kind = config::FramingKind::http1};
  static const engine::message::Framing framing(settings);
  return engine::message::make_boundary(settings, framing);
}

const std::string kGet = "> GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kHead = "> HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kPost5 = "> POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const std::string kOk = "< HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const std::string kNoContent = "< HTTP/1.1 204 No Content\r\n\r\n";
const Script kExchange = {kGet, kOk};

// Whole exchanges: clean at the end, and at no byte within.
const std::vector<Row> kClean = {
    {"a length", {kGet, kOk}},
    {"a length of zero", {kGet, "< HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}},
    {"no reason", {kGet, "< HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\na"}},
    {"HEAD", {kHead, "< HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"}},
    {"HEAD, chunked", {kHead, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}},
    {"HEAD, no length", {kHead, "< HTTP/1.1 200 OK\r\n\r\n"}},
    {"204", {kGet, kNoContent}},
    {"204 with a length of zero", {kGet, "< HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"}},
    {"304", {kGet, "< HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"}},
    {"a body that looks like a response", {kGet, "< HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHTTP/1.1 200"}},
    {"a request with a body", {kPost5 + "12345", kOk}},
    {"a body apart from its head", {kPost5, "> 12345", kOk}},
    {"a request of an unknown method", {"> BREW /pot HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", kOk}},
    {"100", {kPost5, "< HTTP/1.1 100 Continue\r\n\r\n", "> 12345", kOk}},
    {"interim responses",
     {kGet, "< HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", kOk}},
    {"interim response to HEAD",
     {kHead, "< HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"}},
    {"an interim response is no end", {kGet, "< HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n", kOk}},
    {"chunks", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"}},
    {"no chunks", {kGet, "< HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n"}},
    {"chunks with trailers and extensions",
     {kGet,
      "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n000A;a=1;b=\"x;y\"\r\nhello\r\n0\r\n\r\n0;c\r\n"
      "Digest: x\r\nConnection: close\r\n\r\n"}},
    {"chunks to the host", {"> PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: b\r\n\r\n", kOk}},
    {"two exchanges", {kGet, kOk, kGet, kOk}},
    {"pipelined", {kGet + kGet.substr(2), kOk + kOk.substr(2)}},
    {"pipelined, HEAD first", {kHead + kGet.substr(2), "< HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", kOk}},
    {"pipelined, HEAD last", {kGet + kHead.substr(2), kOk, "< HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}},
    {"pipelined, asked while it is answered",
     {kGet, "< HTTP/1.1 200 OK\r\nContent-Le", kGet, "< ngth: 1\r\n\r\na", kOk}},
    {"HTTP/1.0 that stays open",
     {"> GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
      "< HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na"}},
    {"an upgrade that is not taken", {"> GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", kOk}},
    {"an answer while the next request's head is on its way",
     {kGet + "POST / HTTP/1.1\r\nContent-Le", kOk, "> ngth: 5\r\n\r\n12345", kOk}},
    {"an answer while the next request's body is on its way", {kGet + kPost5.substr(2) + "12", kOk, "> 345", kOk}},
    {"GET with a length of zero", {"> GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", kOk}},
};

// Something is still to come; nothing is wrong.
const std::vector<Row> kOpen = {
    {"no answer", {kGet}},
    {"half a head", {"> GET / HTTP/1.1\r\nHost:"}},
    {"one byte", {"> G"}},
    {"no body", {kPost5}},
    {"half a body", {kPost5 + "123", kOk}},
    {"no head of the answer", {kGet, "< HTTP/1.1 200"}},
    {"no body of the answer", {kGet, "< HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}},
    {"half a body of the answer", {kGet, "< HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"}},
    {"no last chunk", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}},
    {"half a last chunk", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r"}},
    {"half a trailer", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"}},
    {"an interim answer", {kGet, "< HTTP/1.1 100 Continue\r\n\r\n"}},
    {"one answer of two", {kGet + kGet.substr(2), kOk}},
    {"a second question", {kGet, kOk, kGet}},
    {"half a second question", {kGet, kOk, "> GE"}},
};

// Never anybody else's again, although all has been answered, and whatever follows.
const std::vector<Row> kEnded = {
    {"the client closes", {"> GET / HTTP/1.1\r\nConnection: close\r\n\r\n", kOk}},
    {"the host closes", {kGet, "< HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\nhello"}},
    {"an earlier answer closes", {kGet + kGet.substr(2), "< HTTP/1.1 204 N\r\nConnection: close\r\n\r\n", kOk}},
    {"HTTP/1.0 closes in spite of keep-alive", {"> GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", kOk}},
    {"HTTP/1.0", {"> GET / HTTP/1.0\r\n\r\n", kOk}},
    {"an answer of HTTP/1.0", {kGet, "< HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"}},
    // The host may take for another request what is none.
    {"the answer before the request's end", {kPost5 + "12", kOk, "> 345"}},
    {"the answer before the request's end, pipelined", {kPost5 + "12", kOk, "> 345", kGet, kOk}},
    {"the answer instead of 100", {kPost5, "< HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", "> 12345"}},
    {"GET with a body", {"> GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", kOk}},
    {"GET with chunks", {"> GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", kOk}},
    {"HEAD with a body",
     {"> HEAD / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", "< HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"}},
};

const std::string kNoLength = "< HTTP/1.1 200 OK\r\n\r\n";

// Never anybody else's again, and perhaps not answered.
const std::vector<Row> kLost = {
    {"an answer until the end of the connection", {kGet, kNoLength}},
    {"an answer until the end of the connection, with a body", {kGet, kNoLength + "hello"}},
    {"CONNECT", {"> CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"}},
    {"CONNECT that is refused",
     {"> CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "< HTTP/1.1 403 F\r\nContent-Length: 0\r\n\r\n"}},
    {"101",
     {"> GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      "< HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"}},
    {"a second answer", {kGet, kOk, kOk}},
    {"a byte of a second answer", {kGet, kOk, "< H"}},
    {"a byte that nobody asked for", {kGet, kOk, "< \r"}},
    {"an answer to half a question", {"> GET / HTTP/1.1\r\nHost:", "< HTTP/1.1 408 Request Timeout\r\n\r\n"}},
    {"HTTP/2", {"> PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}},
    {"TLS", {"> \x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n"s}},
    {"no HTTP", {"> QUIT\r\n\r\n"}},
    {"no HTTP from the host", {kGet, "< 220 smtp.example\r\n\r\n"}},
    {"an empty line first", {"> \r\n" + kGet.substr(2)}},
    {"an empty line behind", {kGet, kOk, "> \r\n\r\n\r\n"}},
    {"line feeds alone", {"> GET / HTTP/1.1\nHost: a\n\n\r\n\r\n"}},
    {"a status below 100", {kGet, "< HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n"}},
    {"a status that is none", {kGet, "< HTTP/1.1 2xx X\r\nContent-Length: 0\r\n\r\n"}},
    // What two readers could understand differently.
    {"a length and chunks", {"> POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}},
    {"chunks and a length", {"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"}},
    {"another coding", {"> POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"}},
    {"identity", {"> POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n"}},
    {"chunked and another", {"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"}},
    {"two codings", {"> POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"}},
    {"chunked twice",
     {"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}},
    {"chunked in quotes", {"> POST / HTTP/1.1\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"}},
    {"chunked with a control character",
     {"> POST / HTTP/1.1\r\nTransfer-Encoding: \x0b"
      "chunked\r\n\r\n0\r\n\r\n"}},
    {"chunks of HTTP/1.0",
     {"> POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}},
    {"another coding of the host", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"}},
    {"two lengths", {"> POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"}},
    {"the same length twice", {"> POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345"}},
    {"a list of lengths", {"> POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n12345"}},
    {"a length with a sign", {"> POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n12345"}},
    {"a hexadecimal length", {"> POST / HTTP/1.1\r\nContent-Length: 0x5\r\n\r\n12345"}},
    {"an empty length", {"> POST / HTTP/1.1\r\nContent-Length:\r\n\r\n"}},
    {"a length beyond all", {"> POST / HTTP/1.1\r\nContent-Length: 18446744073709551616\r\n\r\n"}},
    {"a folded line", {"> POST / HTTP/1.1\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"}},
    {"a folded line of the host", {kGet, "< HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\nContent-Length: 0\r\n\r\n"}},
    {"a first line that is folded", {"> GET / HTTP/1.1\r\n Host: a\r\n\r\n"}},
    {"a space before the colon", {"> POST / HTTP/1.1\r\nContent-Length : 5\r\n\r\n12345"}},
    {"a field without a name", {"> GET / HTTP/1.1\r\n: a\r\n\r\n"}},
    {"a carriage return alone", {"> GET / HTTP/1.1\r\nA: b\rContent-Length: 5\r\n\r\n"}},
    {"a zero byte", {"> GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"s}},
    {"a chunk without a size", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n"}},
    {"a chunk of a negative size", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n\r\n"}},
    {"a chunk beyond all",
     {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nhello\r\n"}},
    {"a chunk that is longer than it says",
     {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"}},
    {"a chunk's size with a space", {kGet, "< HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n"}},
    {"a line feed in an extension",
     {"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"}},
    {"a folded line behind the chunks",
     {"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n"}},
    {"a line feed behind the chunks",
     {"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\nGET / HTTP/1.1\r\n\r\n"}},
    {"a line feed in a field", {"> GET / HTTP/1.1\r\nA: b\nContent-Length: 5\r\n\r\n"}},
    {"204 with a length", {kGet, "< HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n"}},
    {"204 with chunks", {kGet, "< HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"}},
    {"100 with a length", {kGet, "< HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n"}},
    {"a length behind the chunks",
     {"> POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n"}},
};

// Plays the script with step `cut_step` cut at `cut`, and compares the state after each step with that of the script as
// it is written.
void check_cut(const Script& script, std::size_t cut_step, std::size_t cut) {
  const auto whole = make();
  const auto pieces = make();
  for (std::size_t i = 0; i < script.size(); ++i) {
    pass(*whole, script[i]);
    if (i == cut_step) {
      const std::string_view text = std::string_view(script[i]).substr(2);
      pass(*pieces, script[i][0] == '>', text.substr(0, cut));
      pass(*pieces, script[i][0] == '>', text.substr(cut));
    } else {
      pass(*pieces, script[i]);
    }
    REQUIRE(state_of(*pieces) == state_of(*whole));
  }
}

void check_all_cuts(const Script& script) {
  for (std::size_t step = 0; step < script.size(); ++step) {
    for (std::size_t cut = 0; cut + 2 <= script[step].size(); ++cut) {
      CAPTURE(step);
      CAPTURE(cut);
      check_cut(script, step, cut);
    }
  }
}

// Byte by byte. Whether it was clean or owed nothing anywhere within a step.
struct Seen {
  bool is_clean = false;
  bool is_not_owed = false;
};

Seen play_bytes(Boundary& boundary, const Script& script) {
  Seen seen;
  for (const std::string& step : script) {
    const std::string_view text = std::string_view(step).substr(2);
    for (std::size_t i = 0; i < text.size(); ++i) {
      pass(boundary, step[0] == '>', text.substr(i, 1));
      if (i + 1 == text.size()) continue;
      seen.is_clean = seen.is_clean || boundary.is_clean();
      seen.is_not_owed = seen.is_not_owed || !boundary.is_owed();
    }
  }
  return seen;
}

void check_rows(const std::vector<Row>& rows, const BoundaryState& expected, bool may_recover) {
  for (const Row& row : rows) {
    CAPTURE(row.name);
    check_all_cuts(row.script);
    const auto boundary = make();
    const Seen seen = play_bytes(*boundary, row.script);
    CHECK(!seen.is_clean);
    CHECK(state_of(*boundary) == expected);
    if (may_recover) continue;
    // Neither when all that may be owed is answered, nor by exchanges that are whole.
    for (const Script& rest : {Script{kOk}, Script{kOk, kOk}, kExchange, Script{kOk, kGet, kOk}}) {
      const auto again = make();
      pass(*again, row.script);
      pass(*again, rest);
      CHECK(!again->is_clean());
      pass(*again, kExchange);
      CHECK(!again->is_clean());
    }
  }
}

}  // namespace

TEST_CASE("stream.an HTTP connection is clean before its first byte") {
  const auto boundary = make();
  CHECK(state_of(*boundary) == BoundaryState{.is_clean = true, .is_owed = false, .idle_max_s = {}});
  boundary->sent({});
  boundary->received({});
  CHECK(state_of(*boundary) == BoundaryState{.is_clean = true, .is_owed = false, .idle_max_s = {}});
}

TEST_CASE("stream.an HTTP connection is clean after whole exchanges, and at no byte within them") {
  check_rows(kClean, {.is_clean = true, .is_owed = false, .idle_max_s = {}}, true);
  for (const Row& row : kClean) {
    CAPTURE(row.name);
    const auto boundary = make();
    CHECK(!play_bytes(*boundary, row.script).is_not_owed);
    CHECK(!play_bytes(*boundary, row.script).is_clean);  // and once more on the same connection
    CHECK(boundary->is_clean());
  }
}

TEST_CASE("stream.an HTTP connection is not clean while an answer, or a part of one, is owed") {
  check_rows(kOpen, {.is_clean = false, .is_owed = true, .idle_max_s = {}}, true);
}

TEST_CASE("stream.an HTTP connection that is to end is never clean again") {
  check_rows(kEnded, {.is_clean = false, .is_owed = false, .idle_max_s = {}}, false);
}

TEST_CASE("stream.an HTTP connection that is not understood is never clean again") {
  check_rows(kLost, {.is_clean = false, .is_owed = true, .idle_max_s = {}}, false);
}

TEST_CASE("stream.half a request of HTTP is owed no answer if nothing more comes, but for one that has begun") {
  const auto owed = [](const Script& script) {
    const auto boundary = make();
    pass(*boundary, script);
    CHECK(boundary->is_owed());
    return boundary->is_owed_at_end();
  };
  const std::string half = "> POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe";
  CHECK_FALSE(owed({"> GET / HT"}));
  CHECK_FALSE(owed({half}));
  CHECK(owed({half, "> llo"}));
  CHECK(owed({kGet, half}));
  CHECK_FALSE(owed({kGet, kOk, half}));
  CHECK(owed({half, "< HTTP/1.1 413 Too Large\r\nContent-Le"}));
  CHECK_FALSE(owed({half, kOk}));
}

TEST_CASE("stream.a host that speaks first has nothing to answer") {
  const auto boundary = make();
  pass(*boundary, kOk);
  CHECK(state_of(*boundary) == BoundaryState{.is_clean = false, .is_owed = false, .idle_max_s = {}});
  pass(*boundary, kExchange);
  CHECK(state_of(*boundary) == BoundaryState{.is_clean = false, .is_owed = true, .idle_max_s = {}});
}

TEST_CASE("stream.how long an HTTP host keeps an idle connection is heeded") {
  const auto after = [](const std::string& value) {
    const auto boundary = make();
    pass(*boundary, Script{kGet, "< HTTP/1.1 200 OK\r\nKeep-Alive: " + value + "\r\nContent-Length: 0\r\n\r\n"});
    CHECK(boundary->is_clean());
    return boundary->idle_max_s();
  };
  CHECK(after("timeout=5") == 5U);
  CHECK(after("timeout=5, max=100") == 5U);
  CHECK(after("max=100,Timeout=15") == 15U);
  CHECK(after("timeout=0") == 0U);
  CHECK(!after("max=100").has_value());
  CHECK(!after("timeout=").has_value());
  CHECK(!after("timeout=x").has_value());
  CHECK(!after("timeout=4294967296").has_value());
  CHECK(!after("xtimeout=5, ,,").has_value());

  const auto boundary = make();
  pass(*boundary, Script{"> GET / HTTP/1.1\r\nKeep-Alive: timeout=300\r\n\r\n", kOk});
  CHECK(!boundary->idle_max_s().has_value());  // what the client says is not the host's
  pass(*boundary, Script{kGet, "< HTTP/1.1 204 N\r\nKeep-Alive: timeout=9\r\n\r\n", kGet, kOk});
  CHECK(boundary->idle_max_s() == 9U);  // until it says something else
  pass(*boundary, Script{kGet, "< HTTP/1.1 204 N\r\nKeep-Alive: timeout=2\r\n\r\n"});
  CHECK(boundary->idle_max_s() == 2U);
}

TEST_CASE("stream.an HTTP head has a limit, a body has none") {
  const std::string line = "A: " + std::string(1000, 'a') + "\r\n";
  const auto with_lines = [&](std::size_t count) {
    std::string text = "> GET / HTTP/1.1\r\n";
    for (std::size_t i = 0; i < count; ++i) text += line;
    return text + "\r\n";
  };
  const std::size_t lines_max = config::kHttpHeadBytesMax / line.size();
  for (const std::size_t piece_bytes : {1UZ, 700UZ, 16'384UZ, 1'000'000UZ}) {
    CAPTURE(piece_bytes);
    const auto is_clean_after = [&](const std::string& request) {
      const auto boundary = make();
      for (std::size_t i = 2; i < request.size(); i += piece_bytes)
        pass(*boundary, true, request.substr(i, piece_bytes));
      pass(*boundary, kOk);
      return boundary->is_clean();
    };
    CHECK(is_clean_after(with_lines(lines_max - 1)));
    CHECK(!is_clean_after(with_lines(2 * lines_max + 2)));
    CHECK(!is_clean_after("> GET /" + std::string(2 * config::kHttpHeadBytesMax, 'a') + " HTTP/1.1\r\n\r\n"));
  }
  const auto boundary = make();
  pass(*boundary, kGet);
  pass(*boundary, "< HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n");
  const std::string mebibyte(1U << 20, 'x');
  for (int i = 0; i < 64; ++i) {
    CHECK(!boundary->is_clean());
    pass(*boundary, false, mebibyte);
  }
  CHECK(boundary->is_clean());
}

TEST_CASE("stream.an HTTP client that asks without end is not followed") {
  const auto boundary = make();
  for (std::uint32_t i = 0; i < config::kHttpUnansweredMax; ++i) pass(*boundary, kGet);
  for (std::uint32_t i = 0; i < config::kHttpUnansweredMax; ++i) pass(*boundary, kOk);
  CHECK(boundary->is_clean());
  for (std::uint32_t i = 0; i <= config::kHttpUnansweredMax; ++i) pass(*boundary, kGet);
  for (std::uint32_t i = 0; i <= config::kHttpUnansweredMax; ++i) pass(*boundary, kOk);
  CHECK(!boundary->is_clean());
}
