#include "engine/message/http1_boundary.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <charconv>
#include <deque>
#include <exception>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "config/limits.hpp"

namespace tlsmux::engine::message {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

using Bytes = std::span<const std::byte>;

constexpr int kContinueClass = 1;  // of status codes: interim responses, RFC 9110 section 15.2
constexpr int kSwitchingProtocols = 101;
constexpr int kStatusMin = 100;
constexpr int kNoContent = 204;
constexpr unsigned kHttp10 = 10;
// The shortest end of a chunked body: "0", two line ends.
constexpr std::size_t kLastChunkBytesMin = 5;

std::string_view view_of(beast::string_view text) { return {text.data(), text.size()}; }
beast::string_view beast_view_of(std::string_view text) { return {text.data(), text.size()}; }

// "timeout=5, max=100"
std::optional<std::uint32_t> timeout_of(std::string_view keep_alive) {
  while (!keep_alive.empty()) {
    const std::string_view whole = keep_alive.substr(0, keep_alive.find(','));
    keep_alive.remove_prefix(std::min(whole.size() + 1, keep_alive.size()));
    std::string_view parameter = whole.substr(std::min(whole.find_first_not_of(" \t"), whole.size()));
    constexpr std::string_view kTimeout = "timeout=";
    if (!beast::iequals(beast_view_of(parameter.substr(0, kTimeout.size())), beast_view_of(kTimeout))) {
      continue;
    }
    parameter.remove_prefix(kTimeout.size());
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(parameter.data(), parameter.data() + parameter.size(), seconds);
    if (error == std::errc{}) return seconds;
  }
  return std::nullopt;
}

// One message as it passes: what its head says of the connection. Its body goes by.
template <bool is_request>
class Message final : public http::basic_parser<is_request> {
 public:
  Message() {
    this->header_limit(config::kHttpHeadBytesMax);
    this->body_limit(std::numeric_limits<std::uint64_t>::max());
  }

  [[nodiscard]] http::verb method() const { return method_; }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] std::optional<std::uint32_t> idle_max_s() const { return idle_max_s_; }
  // RFC 9112 section 9.3. Requires the head.
  [[nodiscard]] bool leaves_open() const { return this->keep_alive() && !closes_; }
  // RFC 9112 sections 6.1 and 6.3: no second length, and no chunks where there cannot be any.
  [[nodiscard]] bool has_clear_length() const { return lengths_ <= 1 && (!this->chunked() || version_ > kHttp10); }
  // Requires the head.
  [[nodiscard]] bool announces_body() const { return this->chunked() || this->content_length().value_or(0) > 0; }
  // The next bytes are the head of a chunk, or what follows the last one.
  [[nodiscard]] bool awaits_chunk() const { return has_head_ && this->chunked() && chunk_left_ == 0; }
  [[nodiscard]] bool has_head() const { return has_head_; }

 private:
  using Error = beast::error_code;
  using Text = beast::string_view;

  void on_request_impl(http::verb method, Text /*name*/, Text /*target*/, int version, Error& /*error*/) override {
    method_ = method;
    version_ = static_cast<unsigned>(version);
  }
  void on_response_impl(int status, Text /*reason*/, int version, Error& /*error*/) override {
    status_ = status;
    version_ = static_cast<unsigned>(version);
  }
  void on_field_impl(http::field field, Text /*name*/, Text value, Error& error) override {
    switch (field) {
      case http::field::content_length:
        ++lengths_;
        if (view_of(value).find_first_not_of("0123456789") != std::string_view::npos) {
          error = http::error::bad_content_length;
        }
        break;
      case http::field::transfer_encoding:
        if (!beast::iequals(value, "chunked")) error = http::error::bad_transfer_encoding;
        break;
      case http::field::connection: closes_ = closes_ || http::token_list(value).exists("close"); break;
      case http::field::keep_alive: idle_max_s_ = timeout_of(view_of(value)); break;
      default: break;
    }
  }
  void on_header_impl(Error& error) override {
    has_head_ = true;
    if (!has_clear_length()) error = http::error::bad_content_length;
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/, Error& /*error*/) override {}
  std::size_t on_body_impl(Text body, Error& /*error*/) override { return body.size(); }
  // A line end within a quoted extension would be the end of the head to some.
  void on_chunk_header_impl(std::uint64_t size, Text extensions, Error& error) override {
    chunk_left_ = size;
    if (view_of(extensions).find_first_of("\r\n") != std::string_view::npos) error = http::error::bad_chunk_extension;
  }
  std::size_t on_chunk_body_impl(std::uint64_t /*left*/, Text body, Error& /*error*/) override {
    chunk_left_ -= body.size();
    return body.size();
  }
  void on_finish_impl(Error& /*error*/) override {}

  http::verb method_ = http::verb::unknown;
  int status_ = 0;
  unsigned version_ = 0;
  int lengths_ = 0;
  bool closes_ = false;
  bool has_head_ = false;
  std::uint64_t chunk_left_ = 0;
  std::optional<std::uint32_t> idle_max_s_;
};

// A line that goes on in the next one (obs-fold): RFC 9112 section 5.2 lets each reader make of it what it likes.
bool has_folded_line(Bytes head) {
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  return text.contains("\n ") || text.contains("\n\t");
}

// One direction, message by message. `Owner` has starts(), has_head() and ended() for a Message; the first two are false
// for what is not understood.
template <bool is_request>
class Direction {
 public:
  // Nothing of a next message has come.
  [[nodiscard]] bool is_between() const { return held_.empty() && !message_.got_some(); }
  // The head of a message has come, and not all of its body.
  [[nodiscard]] bool is_in_body() const { return message_.has_head(); }

  // False when it cannot be understood; then nothing more may be fed.
  template <class Owner>
  bool feed(Bytes bytes, Owner& owner) {
    while (!bytes.empty()) {
      if (held_.empty()) {
        const auto used = read(bytes, owner);
        if (!used || bytes.size() - *used > config::kHttpHeadBytesMax) return false;
        held_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(*used), bytes.end());
        return true;
      }
      const std::size_t count = std::min<std::size_t>(bytes.size(), config::kHttpHeadBytesMax - held_.size());
      if (count == 0) return false;
      held_.insert(held_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
      bytes = bytes.subspan(count);
      const auto used = read(held_, owner);
      if (!used) return false;
      held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(*used));
      if (held_.empty()) forget();
    }
    return true;
  }

  // Gives the memory back.
  void forget() { std::vector<std::byte>().swap(held_); }

 private:
  // How many of the bytes were used; the others are the beginning of something that is not complete.
  template <class Owner>
  std::optional<std::size_t> read(Bytes bytes, Owner& owner) {
    std::size_t used = 0;
    while (used < bytes.size()) {
      const auto rest = bytes.subspan(used);
      if (!message_.got_some() && !owner.starts(message_)) return std::nullopt;
      // Beast takes for granted that the last chunk does not come in smaller pieces.
      if (message_.awaits_chunk() && rest.size() < kLastChunkBytesMin) break;
      const bool had_head = message_.has_head();
      const bool are_lines = !had_head || message_.awaits_chunk();
      const auto [count, error] = put(rest);
      if (error && error != http::error::need_more) return std::nullopt;
      if (are_lines && has_folded_line(rest.first(count))) return std::nullopt;
      if (!had_head && message_.has_head() && !owner.has_head(message_)) return std::nullopt;
      used += count;
      if (error) break;
      if (message_.is_done()) {
        owner.ended(message_);
        message_ = Message<is_request>();
      } else if (count == 0) {
        return std::nullopt;
      }
    }
    return used;
  }

  std::pair<std::size_t, beast::error_code> put(Bytes bytes) {
    beast::error_code error;
    try {
      const std::size_t count = message_.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
      return {count, error};
    } catch (const std::exception&) {
      return {0, http::error::bad_value};
    }
  }

  Message<is_request> message_;
  std::vector<std::byte> held_;  // the beginning of a head, or of a chunk's
};

class Http1Boundary final : public Boundary {
 public:
  using Request = Message<true>;
  using Response = Message<false>;

  void sent(Bytes bytes) override {
    has_sent_ = has_sent_ || !bytes.empty();
    if (!is_lost_ && !requests_.feed(bytes, *this)) lose();
  }
  void received(Bytes bytes) override {
    if (!is_lost_ && !responses_.feed(bytes, *this)) lose();
  }
  [[nodiscard]] bool is_clean() const override { return !is_lost_ && !says_last_ && !is_doubtful_ && !is_owed(); }
  [[nodiscard]] bool is_owed() const override {
    if (is_lost_) return has_sent_;
    return !unanswered_.empty() || !requests_.is_between() || !responses_.is_between();
  }
  // A host may answer half a request, but need not.
  [[nodiscard]] bool is_owed_at_end() const override {
    if (is_lost_) return has_sent_;
    return unanswered_.size() > (requests_.is_in_body() ? 1U : 0U) || !responses_.is_between();
  }
  [[nodiscard]] bool is_within_question() const override { return !is_lost_ && !requests_.is_between(); }
  [[nodiscard]] bool is_understood() const override { return !is_lost_; }
  [[nodiscard]] bool is_last() const override { return is_lost_ || says_last_; }
  [[nodiscard]] std::optional<std::uint32_t> idle_max_s() const override { return idle_max_s_; }

  // ---- For Direction.

  static bool starts(Request& /*request*/) { return true; }
  // A response may begin before its request has ended, but not before its head has.
  bool starts(Response& response) {
    if (unanswered_.empty()) return false;
    response.skip(unanswered_.front() == http::verb::head);
    return true;
  }
  bool has_head(const Request& request) {
    // Whatever is answered, the host may have connected us to somebody (RFC 9110 section 9.3.6).
    if (request.method() == http::verb::connect || unanswered_.size() >= config::kHttpUnansweredMax) return false;
    unanswered_.push_back(request.method());
    says_last_ = says_last_ || !request.leaves_open();
    is_doubtful_ = is_doubtful_ || has_doubtful_body(request);
    return true;
  }
  bool has_head(const Response& response) {
    if (response.status() == kSwitchingProtocols || response.status() < kStatusMin) return false;
    const bool has_no_body = is_interim(response) || response.status() == kNoContent;
    if (has_no_body && response.announces_body()) return false;
    if (is_interim(response)) return true;
    // A host that answers before it has heard all may take the rest for another request (RFC 9112 section 9.3).
    is_doubtful_ = is_doubtful_ || (unanswered_.size() == 1 && requests_.is_in_body());
    says_last_ = says_last_ || !response.leaves_open();
    if (response.idle_max_s()) idle_max_s_ = response.idle_max_s();
    return true;
  }
  static void ended(const Request& /*request*/) {}
  void ended(const Response& response) {
    if (!is_interim(response)) unanswered_.pop_front();
  }

 private:
  // A body that means nothing (RFC 9110 sections 9.3.1, 9.3.2, 9.3.5 and 9.3.8): some hosts take it for the next request.
  static bool has_doubtful_body(const Request& request) {
    constexpr std::array kWithout{http::verb::get, http::verb::head, http::verb::delete_, http::verb::trace};
    return std::ranges::find(kWithout, request.method()) != kWithout.end() && request.announces_body();
  }
  static bool is_interim(const Response& response) { return response.status() / 100 == kContinueClass; }

  void lose() {
    is_lost_ = true;
    requests_.forget();
    responses_.forget();
    unanswered_ = {};
  }

  Direction<true> requests_;
  Direction<false> responses_;
  std::deque<http::verb> unanswered_;
  std::optional<std::uint32_t> idle_max_s_;
  bool has_sent_ = false;
  bool says_last_ = false;
  bool is_doubtful_ = false;  // two readers could differ about where a message ends
  bool is_lost_ = false;      // not understood, or another protocol now
};

}  // namespace

std::unique_ptr<Boundary> make_http1_boundary() { return std::make_unique<Http1Boundary>(); }

}  // namespace tlsmux::engine::message
